"use strict";
// One moment plays at a time; its playhead moves over the picture, and a click into the picture plays from there.
const moments = [...document.querySelectorAll(".moment")].filter((moment) => moment.querySelector("audio"));
for (const moment of moments) {
  const audio = moment.querySelector("audio");
  const stage = moment.querySelector(".stage");
  const playhead = moment.querySelector(".playhead");
  const left = Number(stage.dataset.left);
  const width = Number(stage.dataset.right) - left;
  const follow = () => {
    playhead.style.display = "block";
    playhead.style.left = `${100 * (left + (width * audio.currentTime) / (audio.duration || 1))}%`;
    if (!audio.paused) requestAnimationFrame(follow);
  };
  audio.addEventListener("play", () => {
    for (const other of moments) if (other !== moment) other.querySelector("audio").pause();
    follow();
  });
  audio.addEventListener("seeked", follow);
  stage.addEventListener("click", (event) => {
    const box = stage.getBoundingClientRect();
    const share = Math.min(1, Math.max(0, ((event.clientX - box.left) / box.width - left) / width));
    const go = () => { audio.currentTime = share * audio.duration; audio.play(); };
    if (audio.readyState > 0) go();
    else { audio.addEventListener("loadedmetadata", go, { once: true }); audio.preload = "auto"; audio.load(); }
  });
}
