# Two images from one file: `service` (the front door and `ridgeway migrate`, no torch) and `workers`.
#   docker build --target service .
#   docker build --target workers --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cpu .
#   docker build --target workers --build-arg EXTRAS=kuberay .     (for workers that Ray places)

FROM python:3.12-slim AS base
ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    RIDGEWAY_DATA=/var/lib/ridgeway
# A named volume takes the owner of the folder that it is first mounted on.
RUN groupadd --system --gid 10001 ridgeway \
    && useradd --system --uid 10001 --gid 10001 --create-home --home-dir /home/ridgeway ridgeway \
    && install -d -m 0700 -o ridgeway -g ridgeway /var/lib/ridgeway
WORKDIR /opt/ridgeway
COPY constraints.txt ./

FROM base AS service
COPY pyproject.toml README.md LICENSE ./
COPY migrations migrations
COPY ridgeway ridgeway
COPY service service
COPY workers workers
RUN pip install -c constraints.txt '.[s3,service]'
USER ridgeway
WORKDIR /var/lib/ridgeway
EXPOSE 8000
CMD ["python", "-P", "-m", "service", "--host", "0.0.0.0", "--port", "8000"]

FROM base AS workers
ARG TORCH_INDEX=
ARG EXTRAS=
# Workers compile their training kernels for the processor that they find themselves on.
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ \
    && rm -rf /var/lib/apt/lists/*
# A layer of its own, which a change of our code does not rebuild. Its dependencies come below.
RUN if [ -n "$TORCH_INDEX" ]; then \
        pip install -c constraints.txt --index-url "$TORCH_INDEX" --no-deps torch; \
    else \
        pip install -c constraints.txt torch; \
    fi
COPY pyproject.toml README.md LICENSE ./
COPY migrations migrations
COPY ridgeway ridgeway
COPY service service
COPY workers workers
RUN pip install -c constraints.txt ".[s3,workers${EXTRAS:+,$EXTRAS}]"
USER ridgeway
WORKDIR /var/lib/ridgeway
CMD ["ridgeway", "worker"]
