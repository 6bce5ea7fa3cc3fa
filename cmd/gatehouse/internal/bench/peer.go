package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

type peer struct {
	name    string
	auth    []string
	command func(ctx context.Context, y *yard, file, address string) *exec.Cmd
}

// peers are the programs of others that join where they are installed.
var peers = []peer{
	{"haproxy", []string{"HS256", "RS256", "ES256"}, haproxy}, // jwt_verify of 2.6 knows no EdDSA
	{"nginx", nil, nginx},
	{"caddy", nil, caddy},
}

// haproxy checks signature and exp, which is what its documentation shows. It knows
// no users.
func haproxy(ctx context.Context, y *yard, file, address string) *exec.Cmd {
	text := fmt.Sprintf(`
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  http-reuse always
frontend in
  bind %s
  http-request set-var(txn.alg) http_auth_bearer,jwt_header_query('$.alg')
  http-request set-var(txn.exp) http_auth_bearer,jwt_payload_query('$.exp','int')
  http-request set-var(txn.now) date()
  http-request deny deny_status 401 unless { req.hdr(authorization) -m found }
  http-request deny deny_status 401 if { var(txn.exp),sub(txn.now) -m int lt 0 }
  http-request deny deny_status 401 unless { var(txn.alg) -m str HS256 } { http_auth_bearer,jwt_verify(txn.alg,"%s") 1 } || { var(txn.alg) -m str RS256 } { http_auth_bearer,jwt_verify(txn.alg,"%s") 1 } || { var(txn.alg) -m str ES256 } { http_auth_bearer,jwt_verify(txn.alg,"%s") 1 }
  default_backend out
backend out
  server app %s
`, address, y.signers["HS256"].secret, y.signers["RS256"].public, y.signers["ES256"].public, y.backend.address)
	config := y.write("haproxy.cfg", text)
	return exec.CommandContext(ctx, file, "-db", "-f", config)
}

func nginx(ctx context.Context, y *yard, file, address string) *exec.Cmd {
	text := fmt.Sprintf(`
daemon off;
worker_processes auto;
pid %[1]s/nginx.pid;
error_log stderr crit;
events { worker_connections 1024; }
http {
  access_log off;
  keepalive_requests 100000000;
  client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/fastcgi;
  uwsgi_temp_path %[1]s/uwsgi; scgi_temp_path %[1]s/scgi;
  upstream app { server %[2]s; keepalive 256; keepalive_requests 100000000; }
  server {
    listen %[3]s;
    location / { proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host; }
  }
}
`, y.dir, y.backend.address, address)
	return exec.CommandContext(ctx, file, "-c", y.write("nginx.conf", text), "-p", y.dir)
}

func caddy(ctx context.Context, y *yard, file, address string) *exec.Cmd {
	config := y.write("Caddyfile", fmt.Sprintf(`
{
	admin off
	auto_https off
}
http://%s {
	reverse_proxy %s
}
`, address, y.backend.address))
	cmd := exec.CommandContext(ctx, file, "run", "--adapter", "caddyfile", "--config", config)
	cmd.Env = append(os.Environ(), "HOME="+y.dir, "XDG_DATA_HOME="+y.dir, "XDG_CONFIG_HOME="+y.dir)
	return cmd
}

// write puts a configuration into the directory. A fault shows when the program
// does not start.
func (y *yard) write(name, text string) string {
	file := filepath.Join(y.dir, name)
	_ = os.WriteFile(file, []byte(text), 0o600)
	return file
}
