"use strict";
// A link from `trainer-cli review-link` carries the token behind '#', which is sent to nobody until this form is.
const login = document.getElementById("login");
if (login && location.hash.length > 1) {
  document.getElementById("token").value = decodeURIComponent(location.hash.slice(1));
  history.replaceState(null, "", location.pathname);
  login.submit();
}

const audio = document.getElementById("audio");
const mark = document.querySelector(".played");
if (audio) {
  const follow = () => {
    if (audio.duration) {
      mark.style.opacity = 0.8;
      mark.style.left = `${(100 * audio.currentTime) / audio.duration}%`;
    }
    if (!audio.paused) requestAnimationFrame(follow);
  };
  audio.addEventListener("play", follow);
  audio.addEventListener("seeked", follow);
  document.querySelector("figure img").addEventListener("click", (event) => {
    if (!audio.duration) return;
    audio.currentTime = (audio.duration * event.offsetX) / event.target.clientWidth;
    audio.play();
  });
  audio.play().catch(() => {}); // browsers let sound begin by itself only after a first press
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.repeat) return;
  const at = event.target;
  if (at.matches("input, summary, audio") || (event.key === "Enter" && at.matches("a, button"))) return;
  if (event.key === " " && audio && !at.matches("button")) {
    event.preventDefault();
    if (audio.paused) audio.play();
    else audio.pause();
    return;
  }
  for (const word of document.querySelectorAll("[data-key]")) {
    if (word.dataset.key === event.key) {
      event.preventDefault();
      word.click();
      return;
    }
  }
});
