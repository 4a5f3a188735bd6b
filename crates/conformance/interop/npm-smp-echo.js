'use strict';
// The echo role of docs/guide/conformance.md on the npm package `smp`, for `cargo xtask conformance --connect` and `--listen`.
//
// POSTROAD_NPM_SMP is the directory of the package. `listen PORT` prints `listening PORT`; `connect PORT` connects anew whenever a
// connection has ended, until nobody listens any more. What the package leaves to the application is done here: answering a STOP by
// closing, waiting while it is paused. Messages go whole, as far as the package can.

const net = require('net');
const smp = require(process.env.POSTROAD_NPM_SMP);

// Above this the package cuts messages into frames, which it cannot do.
const WHOLE = 16 * 65537;

setTimeout(() => process.exit(3), 300000).unref();

function echo(socket) {
  const parser = new smp.StreamParser();
  let paused = false;
  let waiting = [];
  const send = (args) => {
    try {
      socket.write(smp.encode(args, { max_message_size: WHOLE }).toBuffer());
    } catch (error) {
      socket.destroy();
    }
  };
  parser.on('message', (unit) => (paused ? waiting.push(unit.args) : send(unit.args)));
  parser.on('frame', () => {});
  parser.on('err', () => {});
  parser.on('pause', () => {
    paused = true;
  });
  parser.on('resume', () => {
    paused = false;
    waiting.forEach(send);
    waiting = [];
  });
  let stopped = false;
  parser.on('stop', () => {
    stopped = true;
    socket.end();
  });
  socket.setNoDelay(true);
  socket.on('data', (chunk) => stopped || parser.write(chunk));
  socket.on('error', () => {});
}

const [role, port] = process.argv.slice(2);

function connect() {
  const socket = net.connect(Number(port), '127.0.0.1', () => echo(socket));
  socket.on('error', (error) => error.code === 'ECONNREFUSED' && process.exit(0));
  socket.on('close', () => setImmediate(connect));
}

if (role === 'listen') {
  const server = net.createServer(echo);
  server.listen(Number(port), '127.0.0.1', () => process.stdout.write(`listening ${server.address().port}\n`));
} else {
  connect();
}
