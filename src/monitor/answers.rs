//! Takes the answers of deferred commands to their clients.

use super::deferred::UnderWay;
use super::dispatcher;
use super::hmp::driver;
use super::hmp::run::answer_line;
use super::runtime::Runtime;

/// The bottom half that answers schedule.
pub(super) fn deliver_answers<S>(rt: &mut Runtime<S>) {
    for (token, answer) in rt.deferred.take_answers() {
        match rt.deferred.finish(token) {
            None => {}
            Some(UnderWay::Qmp(command)) => dispatcher::answer(rt, command, answer),
            Some(UnderWay::Hmp(line)) => {
                if let Some((monitor, outcome)) = answer_line(rt, line, answer) {
                    driver::line_goes_on(rt, monitor, token, outcome);
                }
            }
        }
    }
}
