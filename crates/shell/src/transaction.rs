//! A transaction over several lines, as qmp-shell has it: `transaction(`, a line for
//! each action, and `)`.

use qmonitor::qapi::{QDict, QObject};

use crate::line;
use crate::schema::Schema;

/// What opens a transaction; an action may follow on the same line.
pub const OPENS: &str = "transaction(";

/// One that has not ended yet.
#[derive(Debug, Default, PartialEq)]
pub struct Transaction {
    actions: Vec<QObject>,
    spoilt: bool,
}

/// The result of a line.
#[derive(Debug, PartialEq)]
pub enum Step {
    More,
    /// The action is wrong, and no part of the transaction.
    Wrong(String),
    /// The request, at the end.
    Request(QDict),
    /// The end, with nothing to send.
    GivenUp(String),
}

impl Transaction {
    /// Takes a line.
    pub fn take(&mut self, line: &str, schema: &Schema) -> Step {
        let (action, ends) = match line.trim().strip_suffix(')') {
            Some(rest) if rest.is_empty() || rest.ends_with(char::is_whitespace) => (rest, true),
            _ => (line, false),
        };
        let action = action.trim();
        if !action.is_empty() {
            match line::action(action, schema) {
                Ok(action) => self.actions.push(action.into()),
                Err(problem) if ends => return Step::GivenUp(problem),
                Err(problem) => return Step::Wrong(problem),
            }
        }
        if !ends {
            return Step::More;
        }
        if self.spoilt {
            return Step::GivenUp("the transaction is not sent: an action is wrong".into());
        }
        let mut arguments = QDict::new();
        arguments.insert("actions", QObject::List(std::mem::take(&mut self.actions)));
        let mut request = QDict::new();
        request.insert("execute", "transaction");
        request.insert("arguments", arguments);
        Step::Request(request)
    }

    /// Notes that an action was wrong, where it cannot be typed again. What is left may
    /// mean something else, so it must not be sent.
    pub fn spoil(&mut self) {
        self.spoilt = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::tests::schema;
    use qmonitor::qapi::json::qobject_to_json;

    fn sent(lines: &[&str]) -> Result<String, String> {
        let mut transaction = Transaction::default();
        for line in lines {
            match transaction.take(line, &schema()) {
                Step::More => {}
                Step::Request(request) => {
                    let arguments = request.get("arguments").unwrap().as_dict().unwrap();
                    return Ok(qobject_to_json(arguments.get("actions").unwrap(), false));
                }
                Step::Wrong(problem) | Step::GivenUp(problem) => return Err(problem),
            }
        }
        Err("it goes on".into())
    }

    #[test]
    fn actions_are_read_as_their_types_want_them() {
        let expected = r#"[{"type": "bitmap-add", "data": {"node": "7", "persistent": true}}, {"type": "abort", "data": {}}]"#;
        for lines in [
            &["bitmap-add node=7 persistent=on", "abort", ")"][..],
            &["", "  bitmap-add node=7 persistent=on  ", "abort  )"],
            &[
                "{'type': 'bitmap-add', 'data': {'node': '7', 'persistent': true}}",
                " abort )",
            ],
        ] {
            assert_eq!(sent(lines).as_deref(), Ok(expected), "{lines:?}");
        }
        assert_eq!(sent(&[")"]).as_deref(), Ok("[]"));
        // A parenthesis within a word ends nothing.
        assert_eq!(sent(&["bitmap-add node=a()"]), Err("it goes on".into()));
    }

    #[test]
    fn a_wrong_action_is_left_out_or_spoils_the_rest() {
        let schema = schema();
        let mut transaction = Transaction::default();
        let problem = transaction.take("bitmap-add persistent=maybe", &schema);
        let mistake = "'maybe' is neither on nor off".to_owned();
        assert_eq!(problem, Step::Wrong(mistake.clone()));
        assert_eq!(transaction, Transaction::default());
        transaction.spoil();
        let refused = transaction.take("abort )", &schema);
        let reason = "the transaction is not sent: an action is wrong";
        assert_eq!(refused, Step::GivenUp(reason.into()));
        let refused = transaction.take("bitmap-add persistent=maybe )", &schema);
        assert_eq!(refused, Step::GivenUp(mistake));
    }
}
