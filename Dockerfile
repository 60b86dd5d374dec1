# One image for workers, gateway and commands; what it runs is the command's choice.
ARG PYTHON=3.12.12

FROM python:${PYTHON}-slim-bookworm AS builder
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
# Without pip: nothing can be installed into the image that runs.
RUN python -m venv --without-pip /opt/orderflow
# The dependencies are a layer of their own, made again only when these two files change. Wheels
# only, so that no compiler is needed here either.
COPY pyproject.toml constraints.txt ./
RUN --mount=type=cache,target=/root/.cache/pip \
    python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"], sep="\n")' \
        > requirements.txt \
    && pip --python /opt/orderflow/bin/python install \
        --only-binary :all: --constraint constraints.txt --requirement requirements.txt
COPY README.md LICENSE ./
COPY gateway ./gateway
COPY app ./app
RUN --mount=type=cache,target=/root/.cache/pip \
    pip --python /opt/orderflow/bin/python install --no-deps .

FROM python:${PYTHON}-slim-bookworm
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Orderflow" \
      org.opencontainers.image.description="An e-commerce order system as a Faust stream-processing application" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# The account has a number, so that a volume's owner and a cluster's rules can name it.
RUN groupadd --system --gid 10001 orderflow \
    && useradd --system --uid 10001 --gid 10001 --home-dir /data --no-create-home \
        --shell /usr/sbin/nologin orderflow \
    && install --directory --owner 10001 --group 10001 --mode 0750 /data
COPY --from=builder /opt/orderflow /opt/orderflow
COPY --chmod=0555 infra/compose/entrypoint.sh infra/compose/healthcheck.py /opt/orderflow/
# Nothing but DATA_DIR is written to: the root file system can be read-only.
ENV PATH=/opt/orderflow/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DATA_DIR=/data \
    WORKER_BIND=0.0.0.0 \
    GATEWAY_BIND=0.0.0.0
WORKDIR /data
# Not named anywhere, so each container has one of its own: replicas must not share it.
VOLUME /data
USER 10001:10001
EXPOSE 6066 3000
STOPSIGNAL SIGTERM
# That of a worker. A container of the gateway says otherwise, a command that ends has none.
HEALTHCHECK --interval=10s --timeout=5s --start-period=90s --retries=3 \
    CMD ["python", "-I", "/opt/orderflow/healthcheck.py", "http://127.0.0.1:6066/readyz"]
ENTRYPOINT ["/opt/orderflow/entrypoint.sh"]
CMD ["faust", "-A", "app", "-L", "uvloop", "worker", "-l", "info"]
