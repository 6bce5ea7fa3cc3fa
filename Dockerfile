# Two stages: the compiler, then nothing but the program. The result has no
# shell, no package manager and no other file that could be put to use.
#
#   docker build --build-arg VERSION=1.0.0 --build-arg COMMIT=$(git rev-parse HEAD) -t gatehouse .

FROM golang:1.26 AS build
ARG VERSION=dev
ARG COMMIT=unknown
ARG GOPROXY
ENV CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS=-buildvcs=false
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY cmd ./cmd
COPY proxy ./proxy
COPY tokens ./tokens
COPY users ./users
# timetzdata: the time zones travel inside the program, since scratch has none.
RUN go build -trimpath -tags timetzdata \
      -ldflags "-s -w -X main.version=${VERSION} -X main.commit=${COMMIT}" \
      -o /out/usr/local/bin/gatehouse ./cmd/gatehouse
# The data directory belongs to the default user and to group 0, which is the
# group of an arbitrary UID on platforms that choose one.
RUN mkdir -p /out/etc/ssl/certs /out/etc/gatehouse /out/tmp /out/var/lib/gatehouse \
 && cp /etc/ssl/certs/ca-certificates.crt /out/etc/ssl/certs/ \
 && chmod 1777 /out/tmp \
 && chown -R 65532:0 /out/var/lib/gatehouse \
 && chmod 0770 /out/var/lib/gatehouse

FROM scratch
ARG VERSION=dev
ARG COMMIT=unknown
LABEL org.opencontainers.image.title="gatehouse" \
      org.opencontainers.image.description="Authentication gateway in front of backends that know nothing of tokens" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${COMMIT}"
COPY --from=build /out/ /
ENV PATH=/usr/local/bin
USER 65532:0
EXPOSE 8080
VOLUME ["/var/lib/gatehouse"]
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 CMD ["/usr/local/bin/gatehouse", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/gatehouse"]
CMD ["serve"]
