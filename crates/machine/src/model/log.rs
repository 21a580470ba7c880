//! The file that the log goes to.

/// The file that the log goes to. A name that cannot be opened sticks if a log
/// file has been open before: then each further `log` tries it again.
#[derive(Debug, Default)]
pub(crate) struct LogFile {
    name: Option<String>,
    open: bool,
}

impl LogFile {
    /// Sends the log to a file of this name.
    ///
    /// # Errors
    ///
    /// The text to print; from then on the log goes to standard error.
    pub(crate) fn set_name(&mut self, name: &str) -> Result<(), String> {
        let opened = std::fs::File::create(name);
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
                Err(format!("Error opening logfile {name}: {reason}"))
            }
        }
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
}
