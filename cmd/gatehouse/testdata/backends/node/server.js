'use strict';
const http = require('node:http');
const { WebSocketServer } = require('ws');

// docs:node:begin
// Whoever the gateway names; undefined where it names none.
function userOf(request) {
  const name = request.headers['x-user-name'];
  return name === undefined ? undefined : decodeURIComponent(name);
}
// docs:node:end

const closes = []; // how sockets were closed

const server = http.createServer((request, response) => {
  if (request.url === '/public/closes') {
    response.end(closes.join('\n'));
    return;
  }
  if (request.url.endsWith('/ticks')) {
    response.writeHead(200, { 'Content-Type': 'text/event-stream' });
    const timer = setInterval(() => response.write('data: tick\n\n'), 50);
    request.on('close', () => clearInterval(timer));
    return;
  }
  if (request.url === '/events') {
    response.writeHead(200, { 'Content-Type': 'text/event-stream' });
    let n = 0;
    const timer = setInterval(() => {
      response.write(`data: ${++n} for ${userOf(request)}\n\n`);
      if (n === 3) {
        clearInterval(timer);
        response.end();
      }
    }, 200);
    request.on('close', () => clearInterval(timer));
    return;
  }
  response.setHeader('Content-Type', 'application/json');
  response.end(JSON.stringify({ user: userOf(request) ?? null, path: request.url, meta: request.headers }));
});

const sockets = new WebSocketServer({ server });
sockets.on('connection', (socket, request) => {
  socket.on('close', (code, reason) => closes.push(`${code} ${reason}`));
  socket.on('message', (text) => socket.send(`${userOf(request)}: ${text}`));
});

server.listen(Number(process.env.PORT), '127.0.0.1');
