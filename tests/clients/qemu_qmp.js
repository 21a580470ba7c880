// A session of npm's qemu-qmp: qemu_qmp.js SOCKET, in a folder that has the
// package. Prints what it was told.
//
// The library takes the first piece that arrives for the whole greeting, and
// has one answer for each request in the order of requests.

const QMP = require(require.resolve('qemu-qmp', { paths: [process.cwd()] }));

const session = [
  ['query-version'],
  ['no-such-command'],
  ['chardev-add', { id: 'ring', backend: { type: 'ringbuf', data: {} } }],
  ['ringbuf-write', { device: 'ring', data: 'h\u00e9llo \ud83d\ude00' }],
  ['ringbuf-read', { device: 'ring', size: 100 }],
  ['ringbuf-read', { device: 'ring', size: -1 }],
  ['ringbuf-read', { device: 'ring', size: 1.5 }],
  ['chardev-remove', { id: 'ring' }],
  ['chardev-remove', { id: 'ring' }],
  ['object-add', { 'qom-type': 'iothread', id: 'io0' }],
  ['qom-list', { path: '/objects' }],
  ['object-del', { id: 'io0' }],
  ['query-jobs'],
];

// The order of members says nothing; QEMU's is that of a hash table. Each
// package has a version text of its own.
function tidy(key, value) {
  if (key === 'package') return '...';
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort());
}

function say(step, value) {
  console.log(step + ': ' + JSON.stringify(value, tidy));
}

// Sends one request when the one before it is answered, or all at once.
function play(qmp, atOnce, done) {
  let next = 0;
  let answered = 0;
  const send = () => {
    const [command, args] = session[next++];
    qmp.execute(command, args, (error, result) => {
      say(command, error ? error.message : result);
      answered += 1;
      if (answered === session.length) return done();
      if (!atOnce) send();
    });
  };
  if (!atOnce) return send();
  while (next < session.length) send();
}

function connect(then) {
  const qmp = new QMP();
  qmp.connect(process.argv[2], (error) => {
    if (error) throw error;
    say('greeting', [qmp.version.qemu, qmp.capabilities]);
    // The answer to the library's own request for negotiation has no callback.
    then(qmp);
  });
}

setTimeout(() => {
  console.log('no answer');
  process.exit(1);
}, 20000).unref();

connect((first) => {
  play(first, false, () => {
    first.once('close', () => {
      connect((second) => {
        play(second, true, () => {
          second.execute('quit', (error, result) => {
            say('quit', error ? error.message : result);
          });
        });
      });
    });
    first.end();
  });
});
