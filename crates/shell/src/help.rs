//! What the schema says of a command, for people.

use crate::schema::{Kind, Member, Schema};

/// How deep objects in objects are shown.
const DEPTH: usize = 6;

/// Help for a line such as `help` or `help COMMAND`, in lines of at most `width`
/// columns as far as names allow.
pub fn help(command: Option<&str>, schema: &Schema, width: usize) -> Result<String, String> {
    let Some(command) = command else {
        let names: Vec<&str> = schema.commands().collect();
        return Ok(columns(&names, width));
    };
    if !schema.has_command(command) {
        return Err(format!("there is no command '{command}'"));
    }
    let mut text = format!("{command}\n");
    if let Some(arguments) = schema.arguments_of(command) {
        members(arguments, "", "", DEPTH, schema, width, &mut text);
    }
    if let Some(result) = schema.result_of(command) {
        let mut returns = String::new();
        members(result, "", "", 1, schema, width, &mut returns);
        match schema.kind(result) {
            Kind::Object if returns.is_empty() => {}
            Kind::Object => text += &format!("returns\n{returns}"),
            _ => text += &format!("returns {}\n", value(result, schema)),
        }
    }
    if schema.allows_oob(command) {
        text += "can be sent out of band, with ! in front\n";
    }
    Ok(text)
}

/// Names in as many columns as fit.
fn columns(names: &[&str], width: usize) -> String {
    let longest = names.iter().map(|name| name.len()).max().unwrap_or(0) + 2;
    let count = (width / longest.max(1)).max(1);
    let rows = names.len().div_ceil(count);
    let mut text = String::new();
    for row in 0..rows {
        let line: String = names[row..]
            .iter()
            .step_by(rows)
            .map(|name| format!("{name:longest$}"))
            .collect();
        text += line.trim_end();
        text.push('\n');
    }
    text
}

/// A line for each member; those of objects with a path, those of variants below
/// the value that chooses them.
fn members(
    type_name: &str,
    path: &str,
    indent: &str,
    depth: usize,
    schema: &Schema,
    width: usize,
    text: &mut String,
) {
    let common = schema.members(type_name, &|_| None);
    for member in &common {
        one_member(member, path, indent, depth, schema, width, text);
    }
    let Some(tag) = schema.tag(type_name).filter(|_| depth > 0) else {
        return;
    };
    let Some(tag_member) = common.iter().find(|member| member.name == tag) else {
        return;
    };
    let Kind::Enum(cases) = schema.kind(&tag_member.type_name) else {
        return;
    };
    for case in cases {
        let all = schema.members(type_name, &|_| Some(case.clone()));
        if all.len() == common.len() {
            continue;
        }
        *text += &format!("{indent}  with {path}{tag}={case}\n");
        let indent = format!("{indent}  ");
        for member in &all[common.len()..] {
            one_member(member, path, &indent, depth, schema, width, text);
        }
    }
}

fn one_member(
    member: &Member,
    path: &str,
    indent: &str,
    depth: usize,
    schema: &Schema,
    width: usize,
    text: &mut String,
) {
    let (open, close) = if member.optional {
        ("[", "]")
    } else {
        ("", "")
    };
    let Member {
        name, type_name, ..
    } = member;
    if schema.kind(type_name) == Kind::Object && depth > 1 {
        let inner = format!("{path}{name}.");
        if member.optional {
            *text += &format!("{indent}  [{path}{name}]\n");
        }
        return members(type_name, &inner, indent, depth - 1, schema, width, text);
    }
    let value = value(type_name, schema);
    let line = format!("{indent}  {open}{path}{name}={value}{close}");
    *text += &wrapped(&line, indent.len() + 6, width);
}

/// What can be given for a value.
fn value(type_name: &str, schema: &Schema) -> String {
    match schema.kind(type_name) {
        Kind::Plain(json) if json == "boolean" => "on|off".into(),
        Kind::Plain(json) => json.to_uppercase(),
        Kind::Enum(values) => values.join("|"),
        Kind::Array(element) => match schema.kind(&element) {
            Kind::Object => "[{...}, ...]".into(),
            _ => format!("{},...", value(&element, schema)),
        },
        Kind::Object => "{...}".into(),
        Kind::Alternate(types) => {
            let values: Vec<String> = types.iter().map(|name| value(name, schema)).collect();
            values.join(" or ")
        }
    }
}

/// A line, broken behind `|` where it gets too long.
fn wrapped(line: &str, indent: usize, width: usize) -> String {
    let mut text = String::new();
    let mut column = 0;
    for part in line.split_inclusive('|') {
        if column > indent && column + part.len() > width {
            text.push('\n');
            text += &" ".repeat(indent);
            column = indent;
        }
        text += part;
        column += part.len();
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::tests::schema;

    #[test]
    fn a_command_is_shown_with_all_that_can_be_given() {
        let text = help(Some("add"), &schema(), 80).unwrap();
        let expected = "\
add
  id=STRING
  [size=INT]
  [fast=on|off]
  [modes=raw|cooked,...]
  backend.type=file|null
  with backend.type=file
    backend.data.out=STRING
    [backend.data.append=on|off]
can be sent out of band, with ! in front
";
        assert_eq!(text, expected);
        let text = help(Some("query-status"), &schema(), 80).unwrap();
        assert_eq!(text, "query-status\nreturns\n  running=on|off\n");
    }

    #[test]
    fn the_list_fits_a_narrow_terminal() {
        assert_eq!(
            help(None, &schema(), 20).unwrap(),
            "add\nquery-status\ntransaction\n"
        );
        assert_eq!(
            help(None, &schema(), 40).unwrap(),
            "add           transaction\nquery-status\n"
        );
        let line = wrapped("  type=aaaa|bbbb|cccc|dddd", 6, 20);
        assert_eq!(line, "  type=aaaa|bbbb|\n      cccc|dddd\n");
    }

    #[test]
    fn an_unknown_command_has_no_help() {
        let problem = help(Some("ad"), &schema(), 80).unwrap_err();
        assert_eq!(problem, "there is no command 'ad'");
    }
}
