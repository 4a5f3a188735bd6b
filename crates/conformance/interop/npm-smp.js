'use strict';
// One end of a TCP connection on 127.0.0.1 with the npm package `smp`, for the tests in tests/interop.
//
// POSTROAD_NPM_SMP is the directory of the package. Arguments: `listen`, or `connect PORT`, and how many octets to write at once (0: all).
// Commands come as JSON lines on stdin:
//   {"call": "encode"|"info"|"heartbeat"|"stop"|"pause"|"resume"|"checkpoint", "args": [HEX], "options": {}}   send what the package returns
//   {"call": "super", "meta": HEX, "schema": HEX, "payload": HEX, "ident": N}
//   {"call": "close"}                                                               end the connection
// What happens goes as JSON lines to stdout: {"listening": PORT}, {"event": NAME, "args": [HEX]}, {"threw": TEXT}, {"ended": true}.
// The process ends by itself after a minute, whatever happens.

const net = require('net');
const readline = require('readline');
const smp = require(process.env.POSTROAD_NPM_SMP);

const [role, ...rest] = process.argv.slice(2);
const chunkLength = Number(rest[rest.length - 1]);

setTimeout(() => process.exit(3), 60000).unref();

function tell(what) {
  process.stdout.write(JSON.stringify(what) + '\n');
}

function hex(value) {
  return Buffer.from(value).toString('hex');
}

// The package's own parser, with every event it has.
function watch(socket) {
  const parser = new smp.StreamParser();
  const whole = ['message', 'frame', 'information', 'heartbeat', 'stop', 'pause', 'resume', 'checkpoint', 'namespace', 'block', 'row'];
  for (const name of whole) {
    parser.on(name, (unit) => tell({ event: name, args: unit.args.map(hex) }));
  }
  parser.on('errorMessage', (number, text) => tell({ event: 'errorMessage', number: number, text: text }));
  parser.on('super', (unit) => {
    tell({ event: 'super', args: [hex(unit.meta), hex(unit.schema), hex(unit.payload)], ident: unit.ident });
  });
  parser.on('err', (text) => tell({ event: 'err', text: String(text) }));
  // Acting on a STOP is the application's part with this package.
  parser.on('stop', () => socket.end());
  socket.on('data', (chunk) => parser.write(chunk));
  socket.on('end', () => {
    tell({ ended: true });
    socket.end();
  });
  socket.on('close', () => process.exit(0));
  socket.on('error', (error) => tell({ event: 'socket error', text: error.code }));
}

function write(socket, octets) {
  const length = chunkLength > 0 ? chunkLength : Math.max(octets.length, 1);
  for (let at = 0; at < octets.length; at += length) {
    socket.write(octets.subarray(at, at + length));
  }
}

function perform(socket, command) {
  const args = (command.args || []).map((text) => Buffer.from(text, 'hex'));
  const bytes = (name) => Buffer.from(command[name], 'hex');
  switch (command.call) {
    case 'close':
      socket.end();
      return;
    case 'encode':
      write(socket, smp.encode(args, command.options || {}).toBuffer());
      return;
    case 'super':
      write(socket, smp.super(bytes('meta'), bytes('payload'), bytes('schema'), command.ident));
      return;
    default:
      write(socket, smp.toBuffer([].concat(smp[command.call](args))));
  }
}

function run(socket) {
  socket.setNoDelay(true);
  watch(socket);
  readline.createInterface({ input: process.stdin }).on('line', (line) => {
    try {
      perform(socket, JSON.parse(line));
    } catch (error) {
      tell({ threw: String(error) });
    }
  });
}

if (role === 'listen') {
  const server = net.createServer((socket) => {
    server.close();
    run(socket);
  });
  server.listen(0, '127.0.0.1', () => tell({ listening: server.address().port }));
} else {
  const socket = net.connect(Number(rest[0]), '127.0.0.1', () => run(socket));
}
