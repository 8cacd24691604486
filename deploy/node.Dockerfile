# A node in a container; build it in the repository's root:
#   docker build --file deploy/node.Dockerfile --tag earshot-node .
# Debian, because onnxruntime needs glibc. The configuration is mounted at /etc/earshot.

FROM debian:trixie-slim AS build
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3-venv python3-dev gcc libc6-dev portaudio19-dev
COPY pyproject.toml README.md LICENSE /source/
COPY node /source/node
COPY trainer /source/trainer
RUN python3 -m venv /opt/earshot/venv \
    && /opt/earshot/venv/bin/pip install --no-cache-dir "/source[mic]"

FROM debian:trixie-slim
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 libportaudio2 libasound2-plugins ffmpeg ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --user-group --uid 10001 --groups audio --home-dir /var/lib/earshot --create-home earshot
COPY --from=build /opt/earshot/venv /opt/earshot/venv
ENV PATH=/opt/earshot/venv/bin:$PATH STATE_DIRECTORY=/var/lib/earshot PYTHONDONTWRITEBYTECODE=1
USER earshot
VOLUME /var/lib/earshot
# 503, and so unhealthy, while the node is deaf.
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s \
    CMD ["python3", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8765/healthz', timeout=4)"]
ENTRYPOINT ["node-cli"]
CMD ["run", "--config", "/etc/earshot/node.yaml"]
