//! No text makes the schema compiler panic, overflow the stack or run forever:
//! it either accepts a schema, and then all back ends can print it, or refuses
//! it with an error that names a file.

use std::io;
use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;
use qmonitor_qapi::codegen;
use qmonitor_qapi::schema::{self, dump, introspect, manual, SchemaDirs};

/// A bit of everything the language has.
const SEED: &str = "\
{ 'pragma': { 'doc-required': false, 'member-name-exceptions': [ 'Kind' ] } }
{ 'include': 'main.json' }
##
# = Lamps
#
# Text about @Lamp::
#
#   literal
##

##
# @Kind:
#
# @led: light
#     emitting
#
# @WAX: candle
#
# Features:
#
# @fast: it is
##
{ 'enum': 'Kind', 'prefix': 'K', 'data': [ 'led', { 'name': 'WAX', 'if': 'WAX' } ],
  'features': [ { 'name': 'fast', 'if': { 'any': [ 'A', { 'not': 'B' } ] } } ] }
{ 'struct': 'Base', 'data': { 'kind': 'Kind', '*name': 'str' } }
{ 'struct': 'Led', 'base': 'Base', 'data': { 'all': [ 'Led' ], '*ref': 'Ref' } }
{ 'struct': 'Wax', 'data': { 'length': { 'type': 'uint8', 'features': [ 'deprecated' ] } } }
{ 'union': 'Lamp', 'base': 'Base', 'discriminator': 'kind', 'data': { 'WAX': 'Wax' } }
{ 'alternate': 'Ref', 'data': { 'name': 'str', 'def': 'Lamp', 'none': 'null' } }
##
# @get:
#
# .. note:: Slow.
#
# @at: where
#
# Returns: lamps
#
# TODO: faster
##
{ 'command': 'get', 'data': { 'at': 'int' }, 'returns': [ 'Lamp' ], 'allow-oob': true }
{ 'command': 'set', 'data': 'Lamp', 'boxed': true, 'coroutine': true, 'if': 'SET' }
{ 'event': 'OUT', 'data': { 'ref': 'Ref' } }
";

/// Pieces that mean something to the lexer, the parser or a comment.
const PIECES: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "'",
    "\\",
    "true",
    "false",
    "#",
    "##\n",
    "# ",
    "\n",
    "\t",
    "@",
    "=",
    "::",
    "``",
    "`",
    "<",
    "# @x: y\n",
    "# Features:\n",
    "# Since: 1\n",
    "# .. note::\n",
    "#     text\n",
    "'Lamp'",
    "'Kind'",
    "'base': ",
    "'data': ",
    "'*",
    "'if': ",
    "'intList'",
    "{ 'include': 'other.json' }",
    "\u{e4}",
    "\u{2028}",
    "\u{0}",
    "\r",
];

/// A change: its place (in thousandths of the text), how much it removes, and
/// what it inserts.
type Change = (usize, usize, Vec<usize>);

fn mutate(changes: &[Change]) -> String {
    let mut text: Vec<char> = SEED.chars().collect();
    for (place, remove, pieces) in changes {
        let start = text.len() * place / 1000;
        let end = (start + remove).min(text.len());
        let new: String = pieces.iter().map(|piece| PIECES[*piece]).collect();
        text.splice(start..end, new.chars());
    }
    text.into_iter().collect()
}

/// Compiles a main file; `other.json` exists as well.
fn compile(main: &[u8]) -> Result<(), String> {
    let loaded = schema::load_with(
        Path::new("dir/main.json"),
        &SchemaDirs::default(),
        &mut |path| match path.to_str() {
            Some("dir/main.json") => Ok(main.to_vec()),
            Some("dir/other.json") => Ok(b"{ 'include': 'main.json' }".to_vec()),
            _ => Err(io::Error::from_raw_os_error(2)),
        },
    );
    match loaded {
        Ok(schema) => {
            for unmask in [false, true] {
                let defined = &|name: &str| name == "A";
                introspect::introspect(&schema, &introspect::Options { defined, unmask });
            }
            dump::dump(&schema);
            manual::manual(&schema);
            let both = codegen::rust::Options {
                client: true,
                ..codegen::rust::Options::default()
            };
            codegen::rust::generate(&schema, &both);
            Ok(())
        }
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn the_seed_is_sound_but_for_its_include() {
    let error = compile(SEED.as_bytes()).unwrap_err();
    assert_eq!(error, "dir/main.json:2: inclusion loop for main.json");
    let sound = SEED.replace("{ 'include': 'main.json' }", "");
    assert_eq!(compile(sound.as_bytes()), Ok(()));
}

proptest! {
    #[test]
    fn arbitrary_bytes(bytes in vec(any::<u8>(), 0..200)) {
        if let Err(error) = compile(&bytes) {
            prop_assert!(error.starts_with("dir/main.json:"), "{error}");
        }
    }

    #[test]
    fn arbitrary_pieces(pieces in vec(0..PIECES.len(), 0..60)) {
        let text: String = pieces.iter().map(|piece| PIECES[*piece]).collect();
        let _ = compile(text.as_bytes());
    }

    #[test]
    fn changed_schemas(
        keep_include in prop::bool::weighted(0.1),
        changes in vec((0..1000usize, 0..12usize, vec(0..PIECES.len(), 0..3)), 0..4),
    ) {
        let mut text = mutate(&changes);
        if !keep_include {
            text = text.replace("{ 'include': 'main.json' }", "");
        }
        if let Err(error) = compile(text.as_bytes()) {
            prop_assert!(error.contains("dir/"), "{error}");
        }
    }

    #[test]
    fn deep_nesting(pieces in vec(0..12usize, 1..4), count in 1..20_000usize) {
        let unit: String = pieces.iter().map(|piece| PIECES[*piece]).collect();
        let _ = compile(unit.repeat(count).as_bytes());
    }
}
