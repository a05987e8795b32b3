# The server in a container: one binary, no shell, no root.
#
#   docker build -t scrollback .
#   docker run -p 127.0.0.1:4437:4437 -v scrollback:/var/lib/scrollback … scrollback
#
# It listens on every address of the container, so it does not start until it is told who may use
# it, by a token or the key of an issuer: compose.yaml does, docs/operations/README.md says how.
# Nothing here switches that off.

# The same Debian in both stages: the C library of the second is the one that was linked against.
FROM rust:1.95-bookworm AS build
WORKDIR /source
COPY . .
RUN cargo build --release --locked --bin scrollback \
    # An empty folder for the data: the last stage has no shell to make one.
    && mkdir -p /out/lib/scrollback && cp target/release/scrollback /out/scrollback

# Not static: webhooks look up names, and a static GNU C library needs the shared one for that.
# This base has the C library, the certificates of public authorities, time zones, and no more.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /out/scrollback /usr/local/bin/scrollback
# 65532 is this base's `nonroot`. A volume that is new takes over the owner and the mode of the
# folder, which has them only as something that is copied, not as the place that is copied to.
COPY --from=build --chown=65532:65532 --chmod=0700 /out/lib/ /var/lib/
USER 65532:65532

# The log is a folder inside the volume, so that a restored one can take its place beside it.
ENV SCROLLBACK_LISTEN=0.0.0.0:4437 \
    SCROLLBACK_DATA_DIR=/var/lib/scrollback/log \
    SCROLLBACK_LOG_FORMAT=json
VOLUME /var/lib/scrollback
EXPOSE 4437
# Every second until it answers (a large log may take minutes to open), then every 15 s. With TLS set SCROLLBACK_URL to the name in the certificate.
HEALTHCHECK --start-period=5m --start-interval=1s --interval=15s --timeout=10s --retries=3 \
    CMD ["/usr/local/bin/scrollback", "health", "--ready"]
# Stopping takes 50 s at most; engines that wait less cut the compaction short, and lose nothing.
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/scrollback"]
CMD ["serve"]
