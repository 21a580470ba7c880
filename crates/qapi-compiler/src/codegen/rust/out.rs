//! Text laid out the way rustfmt does it.
//!
//! This is not a formatter. It knows only the few shapes of generated code, each
//! with rustfmt's rule for breaking it into lines. The widths are rustfmt's
//! defaults: 100 columns, 60 for the arguments of a call, 18 for the fields of a
//! struct literal.

const MAX_WIDTH: usize = 100;
const CALL_WIDTH: usize = 60;
const LITERAL_WIDTH: usize = 18;
const INDENT: usize = 4;

/// The text so far.
#[derive(Default)]
pub(super) struct Out {
    text: String,
    level: usize,
}

impl Out {
    /// One line at the current indentation.
    pub(super) fn line(&mut self, line: &str) {
        if !line.is_empty() {
            self.text
                .extend(std::iter::repeat_n(' ', self.level * INDENT));
            self.text.push_str(line);
        }
        self.text.push('\n');
    }

    /// An empty line between items, but not at the start of a block or after
    /// another one.
    pub(super) fn blank(&mut self) {
        if !self.text.ends_with("\n\n") && !self.text.ends_with("{\n") {
            self.text.push('\n');
        }
    }

    /// A line that opens a deeper level.
    pub(super) fn begin(&mut self, line: &str) {
        self.line(line);
        self.level += 1;
    }

    /// A line that closes a level.
    pub(super) fn end(&mut self, line: &str) {
        self.level -= 1;
        self.line(line);
    }

    /// Makes the following lines a level deeper.
    pub(super) fn indent(&mut self) {
        self.level += 1;
    }

    /// Text that stands as it is, such as the inside of a literal.
    pub(super) fn verbatim(&mut self, text: &str) {
        self.text.push_str(text);
    }

    fn fits(&self, line: &str) -> bool {
        self.level * INDENT + line.chars().count() <= MAX_WIDTH
    }

    fn vertical(&mut self, before: &str, items: &[&str], after: &str) {
        self.begin(before);
        for item in items {
            self.line(&format!("{item},"));
        }
        self.end(after);
    }

    /// A list between brackets, always one item per line, for lists known to be too
    /// long for one line.
    pub(super) fn open_list(&mut self, before: &str, items: &[&str], after: &str) {
        self.begin(before);
        for (i, item) in items.iter().enumerate() {
            let comma = if i + 1 == items.len() { "" } else { "," };
            self.line(&format!("{item}{comma}"));
        }
        self.end(after);
    }

    /// A call: `before` ends with its opening parenthesis, `after` begins with
    /// the closing one.
    pub(super) fn call(&mut self, before: &str, args: &[&str], after: &str) {
        let joined = args.join(", ");
        let line = format!("{before}{joined}{after}");
        if joined.chars().count() <= CALL_WIDTH && self.fits(&line) {
            self.line(&line);
        } else {
            self.vertical(before, args, after);
        }
    }

    /// A function's signature: like a call, but it may be as wide as the line.
    pub(super) fn signature(&mut self, before: &str, params: &[&str], after: &str) {
        let line = format!("{before}{}{after}", params.join(", "));
        // rustfmt counts the semicolon of a function without body once as one
        // column and once as two. This is the layout in between.
        let width = self.level * INDENT + line.chars().count();
        if let (MAX_WIDTH, true, Some(arrow)) = (width, after.ends_with(';'), line.find(" -> ")) {
            self.begin(&line[..arrow]);
            self.line(line[arrow..].trim_start());
            self.level -= 1;
            return;
        }
        if self.fits(&line) {
            self.line(&line);
        } else {
            self.vertical(before, params, after);
        }
    }

    /// The declaration of a public field.
    pub(super) fn declaration(&mut self, name: &str, typ: &str) {
        let line = format!("pub {name}: {typ},");
        if self.fits(&line) {
            return self.line(&line);
        }
        self.begin(&format!("pub {name}:"));
        self.line(&format!("{typ},"));
        self.level -= 1;
    }

    /// A field whose value is a method call on a variable.
    fn field(&mut self, name: &str, value: &str) {
        let line = format!("{name}: {value},");
        // rustfmt breaks it two columns early.
        if self.fits(&format!("{line}  ")) && arguments(value).len() <= CALL_WIDTH {
            return self.line(&line);
        }
        let (receiver, call) = value.split_once('.').unwrap_or((value, ""));
        let call = format!(".{call},");
        if !self.fits(&format!("    {call}")) || arguments(value).len() > CALL_WIDTH {
            return self.broken_call(&format!("{name}: {value},"));
        }
        self.begin(&format!("{name}: {receiver}"));
        self.line(&call);
        self.level -= 1;
    }

    /// A line with a call in it, one argument per line.
    fn broken_call(&mut self, line: &str) {
        let args = arguments(line);
        let (before, after) = line.split_once(args).unwrap_or((line, ""));
        let args: Vec<&str> = args.split(", ").collect();
        self.vertical(before, &args, after);
    }

    /// The fields of a struct literal: name and value, the value empty for the
    /// shorthand. `attrs` may hold a `cfg` attribute for each.
    pub(super) fn literal(&mut self, before: &str, fields: &[Field], after: &str) {
        let joined: Vec<String> = fields.iter().map(Field::text).collect();
        let joined = joined.join(", ");
        let line = if joined.is_empty() {
            format!("{before} {{}}{after}")
        } else {
            format!("{before} {{ {joined} }}{after}")
        };
        let plain = fields.iter().all(|f| f.cfg.is_none());
        if plain && joined.chars().count() <= LITERAL_WIDTH && self.fits(&line) {
            return self.line(&line);
        }
        self.begin(&format!("{before} {{"));
        for field in fields {
            if let Some(cfg) = &field.cfg {
                self.line(cfg);
            }
            if field.value.is_empty() {
                self.line(&format!("{},", field.name));
            } else {
                self.field(&field.name, &field.value);
            }
        }
        self.end(&format!("}}{after}"));
    }

    /// A struct literal with a base. rustfmt never puts one of our width on one
    /// line.
    pub(super) fn base_literal(&mut self, before: &str, fields: &[Field]) {
        self.begin(&format!("{before} {{"));
        for (i, field) in fields.iter().enumerate() {
            let comma = if i + 1 == fields.len() { "" } else { "," };
            self.line(&format!("{}{comma}", field.text()));
        }
        self.end("},");
    }

    /// `let NAME = VALUE;`
    pub(super) fn binding(&mut self, name: &str, value: &str) {
        let line = format!("let {name} = {value};");
        if arguments(value).len() > CALL_WIDTH {
            return self.broken_call(&line);
        }
        if self.fits(&line) {
            return self.line(&line);
        }
        self.begin(&format!("let {name} ="));
        self.line(&format!("{value};"));
        self.level -= 1;
    }

    /// An arm of a match.
    pub(super) fn arm(&mut self, pattern: &str, value: &str) {
        let line = format!("{pattern} => {value},");
        if self.fits(&line) {
            return self.line(&line);
        }
        self.begin(&format!("{pattern} => {{"));
        self.line(value);
        self.end("}");
    }

    /// The whole text.
    pub(super) fn finish(self) -> String {
        self.text
    }
}

/// The text between the first parenthesis and the last.
fn arguments(text: &str) -> &str {
    match (text.find('('), text.rfind(')')) {
        (Some(start), Some(end)) if start < end => &text[start + 1..end],
        _ => "",
    }
}

/// A field of a struct literal.
pub(super) struct Field {
    pub(super) cfg: Option<String>,
    pub(super) name: String,
    /// Empty for the shorthand.
    pub(super) value: String,
}

impl Field {
    fn text(&self) -> String {
        if self.value.is_empty() {
            self.name.clone()
        } else {
            format!("{}: {}", self.name, self.value)
        }
    }
}
