//! Rust's names for the names of a schema.

/// Keywords that can be raw identifiers, of all editions.
const KEYWORDS: &[&str] = &[
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "do", "dyn",
    "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let",
    "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref", "return",
    "static", "struct", "trait", "true", "try", "type", "typeof", "unsafe", "unsized", "use",
    "virtual", "where", "while", "yield",
];

/// Keywords that cannot.
const PATH_KEYWORDS: &[&str] = &["self", "Self", "super", "crate", "_"];

fn escape(name: String) -> String {
    match name.as_str() {
        n if KEYWORDS.contains(&n) => format!("r#{n}"),
        n if PATH_KEYWORDS.contains(&n) => format!("{n}_"),
        _ => name,
    }
}

/// Words of a name: runs of letters and digits.
fn words(name: &str) -> impl Iterator<Item = &str> {
    name.split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
}

/// `node-name` and `nodeName` as `node_name`, even if that is a keyword.
pub(super) fn snake_plain(name: &str) -> String {
    let mut snake = String::new();
    for word in words(name) {
        if !snake.is_empty() {
            snake.push('_');
        }
        let mut after_lower = false;
        for c in word.chars() {
            if c.is_ascii_uppercase() && after_lower {
                snake.push('_');
            }
            after_lower = !c.is_ascii_uppercase();
            snake.push(c.to_ascii_lowercase());
        }
    }
    snake
}

/// A member, a parameter or a method.
pub(super) fn snake(name: &str) -> String {
    match snake_plain(name) {
        n if n.starts_with(|c: char| c.is_ascii_digit()) => format!("k{n}"),
        n => escape(n),
    }
}

/// `host-qmp-quit` as `HostQmpQuit`, `2_5` as `K2_5`, `x86_64` as `X86_64`.
pub(super) fn camel(name: &str) -> String {
    let mut camel = String::new();
    for word in words(name) {
        let mut chars = word.chars();
        let first = chars.next().unwrap_or('_');
        let after_digit = camel.ends_with(|c: char| c.is_ascii_digit());
        if first.is_ascii_digit() {
            if after_digit {
                camel.push('_');
            } else if camel.is_empty() {
                camel.push('K');
            }
        }
        camel.push(first.to_ascii_uppercase());
        camel.push_str(chars.as_str());
    }
    escape(camel)
}

/// A type: as it is, unless it is downstream or implicit.
pub(super) fn type_name(name: &str) -> String {
    if name.chars().all(|c| c.is_ascii_alphanumeric()) {
        escape(name.to_owned())
    } else {
        camel(name)
    }
}

/// A constant: `BLOCK_IO_ERROR`.
pub(super) fn upper(name: &str) -> String {
    let words: Vec<String> = words(name).map(str::to_ascii_uppercase).collect();
    words.join("_")
}

/// The trait for the commands of a schema file.
pub(super) fn trait_name(module: &str) -> String {
    let file = module.rsplit('/').next().unwrap_or(module);
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    format!("{}Commands", camel(stem))
}

/// Makes names distinct: the later of two equal ones gets an underscore.
pub(super) fn distinct(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut seen: Vec<String> = Vec::new();
    for mut name in names {
        while seen.contains(&name) {
            name.push('_');
        }
        seen.push(name);
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_snake_case_and_never_keywords() {
        for (name, want) in [
            ("node-name", "node_name"),
            ("UUID", "uuid"),
            ("slotType", "slot_type"),
            ("type", "r#type"),
            ("self", "self_"),
            ("__org.qemu_x-y", "org_qemu_x_y"),
            ("x-2nd", "x_2nd"),
        ] {
            assert_eq!(snake(name), want, "{name}");
        }
    }

    #[test]
    fn values_are_camel_case_and_never_start_with_a_digit() {
        for (name, want) in [
            ("host-qmp-quit", "HostQmpQuit"),
            ("2_5", "K2_5"),
            ("4k", "K4k"),
            ("x86_64", "X86_64"),
            ("KVMMissingCap", "KVMMissingCap"),
            ("self", "Self_"),
            ("none", "None"),
        ] {
            assert_eq!(camel(name), want, "{name}");
        }
    }

    #[test]
    fn traits_are_named_after_files() {
        assert_eq!(trait_name("../qapi/run-state.json"), "RunStateCommands");
    }

    #[test]
    fn names_that_fall_together_are_kept_apart() {
        let names = ["a", "b", "a", "a"].map(str::to_owned);
        assert_eq!(distinct(names.into_iter()), ["a", "b", "a_", "a__"]);
    }
}
