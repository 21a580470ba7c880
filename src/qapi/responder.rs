//! Answering a command after its handler has returned.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use super::visit::QapiType;
use super::{CompatPolicy, Error, QObject};

/// Accepts the replies to deferred commands; the monitor implements it. Replies may
/// come from any thread, also from within the call that started the command.
pub trait ReplyPort: Send + Sync {
    /// Takes the reply to the call that `token` stands for. Called once per token.
    fn deliver(&self, token: u64, reply: Result<QObject, Error>);
}

/// The duty to answer one call. Its holder may keep it, send it to another thread
/// and answer later. Dropping it tells the client that no answer will come.
#[must_use = "dropping a responder answers the command with an error"]
pub struct RawResponder {
    /// `None` once the reply is delivered.
    port: Option<Arc<dyn ReplyPort>>,
    token: u64,
}

impl RawResponder {
    /// A responder that delivers the reply for `token` to `port`.
    pub fn new(port: Arc<dyn ReplyPort>, token: u64) -> Self {
        RawResponder {
            port: Some(port),
            token,
        }
    }

    /// Delivers the reply.
    pub fn respond(mut self, reply: Result<QObject, Error>) {
        self.deliver(reply);
    }

    fn deliver(&mut self, reply: Result<QObject, Error>) {
        if let Some(port) = self.port.take() {
            port.deliver(self.token, reply);
        }
    }
}

impl Drop for RawResponder {
    fn drop(&mut self) {
        let desc = "The command was abandoned without an answer";
        self.deliver(Err(Error::new(desc)));
    }
}

impl fmt::Debug for RawResponder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RawResponder").field(&self.token).finish()
    }
}

/// A [`RawResponder`] for a command that returns a `T`; `()` for one that
/// returns nothing.
///
/// ```
/// use std::sync::{mpsc, Arc, Mutex};
/// use qmonitor::qapi::{CompatPolicy, Error, QObject, RawResponder, ReplyPort, Responder};
///
/// struct Port(Mutex<mpsc::Sender<Result<QObject, Error>>>);
///
/// impl ReplyPort for Port {
///     fn deliver(&self, _token: u64, reply: Result<QObject, Error>) {
///         self.0.lock().unwrap().send(reply).unwrap();
///     }
/// }
///
/// let (sender, replies) = mpsc::channel();
/// let raw = RawResponder::new(Arc::new(Port(Mutex::new(sender))), 1);
/// let responder = Responder::<i64>::new(raw, CompatPolicy::default());
/// std::thread::spawn(move || responder.respond(Ok(42)));
/// assert_eq!(replies.recv().unwrap(), Ok(42i64.into()));
/// ```
#[must_use = "dropping a responder answers the command with an error"]
pub struct Responder<T> {
    raw: RawResponder,
    policy: CompatPolicy,
    returns: PhantomData<fn(T)>,
}

impl<T: QapiType> Responder<T> {
    /// Gives `raw` the command's return type. `policy` may hide members of the
    /// value.
    pub fn new(raw: RawResponder, policy: CompatPolicy) -> Self {
        Responder {
            raw,
            policy,
            returns: PhantomData,
        }
    }

    /// Delivers the reply.
    pub fn respond(self, reply: Result<T, Error>) {
        let policy = self.policy;
        self.raw
            .respond(reply.map(|value| value.into_qobject(policy)));
    }
}

impl<T> fmt::Debug for Responder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.raw.fmt(f)
    }
}
