// npm's qemu-qmp.

const QMP = require(require.resolve('qemu-qmp', { paths: [process.cwd()] }));

const say = (kind, value) => console.log(JSON.stringify([kind, value]));
const qmp = new QMP();

process.on('uncaughtException', (e) => {
  say('error', String(e.message));
  process.exit();
});

function next(commands) {
  if (commands.length === 0) return process.exit();
  qmp.execute(commands[0], (error, value) => {
    if (error) say('error', String(error.message));
    else say('return', value);
    next(commands.slice(1));
  });
}

qmp.connect(process.argv[2], (error) => {
  if (error) {
    say('error', String(error.message));
    process.exit();
  }
  next(['query-status', 'query-name', 'quit']);
});
