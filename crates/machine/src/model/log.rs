//! The file that the log goes to.

/// The file that the log goes to. A name that cannot be opened sticks if a log
/// file has been open before: then each further `log` tries it again.
#[derive(Debug, Default)]
pub(crate) struct LogFile {
    name: Option<String>,
    open: bool,
}

/// The file that a name stands for: a `%d` in it is the process id. No other `%` may
/// be there.
fn file_of(name: &str) -> Option<String> {
    let Some((before, after)) = name.split_once('%') else {
        return Some(name.to_owned());
    };
    let after = after.strip_prefix('d').filter(|rest| !rest.contains('%'))?;
    Some(format!("{before}{}{after}", std::process::id()))
}

impl LogFile {
    /// Sends the log to a file of this name.
    ///
    /// # Errors
    ///
    /// The text to print; from then on the log goes to standard error.
    pub(crate) fn set_name(&mut self, name: &str) -> Result<(), String> {
        let path = file_of(name).ok_or_else(|| format!("Bad logfile template: {name}"))?;
        let opened = std::fs::File::create(&path);
        self.open = opened.is_ok();
        if self.open || self.name.is_some() {
            self.name = Some(name.to_owned());
        }
        match opened {
            Ok(file) => {
                qmonitor::trace::set_output(Some(Box::new(file)));
                Ok(())
            }
            Err(e) => {
                qmonitor::trace::set_output(None);
                let reason = qmonitor::qapi::error::strerror(&e);
                Err(format!("Error opening logfile {path}: {reason}"))
            }
        }
    }

    /// Whether there can be a file for each thread, if that is wanted.
    ///
    /// # Errors
    ///
    /// The name has no place for a thread's number.
    pub(crate) fn check(name: Option<&str>, per_thread: bool) -> Result<(), String> {
        if per_thread && !name.is_some_and(|name| name.contains("%d")) {
            return Err("Filename template with '%d' required for 'tid'".to_owned());
        }
        Ok(())
    }

    /// [`check`](Self::check) for this file.
    pub(crate) fn check_threads(&self, per_thread: bool) -> Result<(), String> {
        Self::check(self.name.as_deref(), per_thread)
    }

    /// Tries again to open a file that could not be opened.
    pub(crate) fn reopen(&mut self) -> Result<(), String> {
        match self.name.clone() {
            Some(name) if !self.open => self.set_name(&name),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_name_sticks_once_a_file_was_open() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        let bad = path("no/such");
        let text = format!("Error opening logfile {bad}: No such file or directory");
        let mut log = LogFile::default();
        assert_eq!(log.set_name(&bad), Err(text.clone()));
        assert_eq!(log.reopen(), Ok(()));
        assert_eq!(log.set_name(&path("log")), Ok(()));
        assert_eq!(log.reopen(), Ok(()));
        assert_eq!(log.set_name(&bad), Err(text.clone()));
        assert_eq!(log.reopen(), Err(text));
    }

    #[test]
    fn a_name_may_have_one_place_for_a_number() {
        let id = std::process::id();
        assert_eq!(file_of("a"), Some("a".to_owned()));
        assert_eq!(file_of("a%d.log"), Some(format!("a{id}.log")));
        for bad in ["x%d%d.log", "z%s.log", "a%.log", "w%%.log", "%"] {
            assert_eq!(file_of(bad), None, "{bad}");
            let text = format!("Bad logfile template: {bad}");
            assert_eq!(LogFile::default().set_name(bad), Err(text));
        }
        let text = "Filename template with '%d' required for 'tid'".to_owned();
        assert_eq!(LogFile::check(Some("a"), true), Err(text.clone()));
        assert_eq!(LogFile::check(None, true), Err(text));
        assert_eq!(LogFile::check(Some("a%d"), true), Ok(()));
        assert_eq!(LogFile::check(None, false), Ok(()));
    }
}
