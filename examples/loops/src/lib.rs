//! What the programs have in common: a monitor without a machine.

use qmonitor::monitor::MonitorMode;
use qmonitor::Runtime;

/// A program with a QMP monitor on the socket that the command line names.
pub fn program() -> Result<Runtime<()>, Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).unwrap_or("/tmp/monitor".into());
    let mut rt = Runtime::new(())?;
    rt.exit_on_signals()?;
    let qmp = format!("unix:{path},server=on,wait=off");
    rt.monitor_parse(&qmp, MonitorMode::Control, false)?;
    Ok(rt)
}
