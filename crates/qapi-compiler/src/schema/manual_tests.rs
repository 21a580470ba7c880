use super::super::load_text;
use super::*;

const LAMPS: &str = "\
##
# = Lamps
#
# About @Lamp and @nothing.
##

##
# @Lamp:
#
# A lamp.
#
# @kind: which
#     one
#
# @level: from 0 on
#
# Features:
#
# @deprecated: Use the sun.
#
# TODO: more
#
# Since: 1.0
##
{ 'union': 'Lamp', 'if': { 'all': [ 'A', { 'not': { 'any': [ 'B', 'C' ] } } ] },
  'base': { 'kind': 'Kind', '*level': { 'type': 'int', 'if': 'DIM', 'features': [ 'deprecated' ] } },
  'discriminator': 'kind', 'data': { 'led': 'Led' } }
{ 'enum': 'Kind', 'data': [ 'led', 'wax' ] }
{ 'struct': 'Led', 'data': {} }

##
# @get-lamps:
#
# Errors:
#     - If dark
##
{ 'command': 'get-lamps', 'data': 'Led', 'returns': [ 'Lamp' ] }
";

const MANUAL: &str = "\
# Lamps

About [`Lamp`](#type-Lamp) and `nothing`.

<a id=\"type-Lamp\"></a>

## `Lamp` (union)

Condition: `A` and not (`B` or `C`)

A lamp.

**Members**

- `kind`: `Kind`

  which
  one

- `level`: `int`, optional (condition: `DIM`) (features: `deprecated`)

  from 0 on

- if `kind` is `led`: the members of `Led`

**Features**

- `deprecated`

  Use the sun.

**Since** 1.0

<a id=\"command-get-lamps\"></a>

## `get-lamps` (command)

**Arguments**

- the members of `Led`

**Returns** array of [`Lamp`](#type-Lamp)

**Errors**

- If dark

# Index

## Module `schema.json`

- [`Lamp`](#type-Lamp) (union)
- [`get-lamps`](#command-get-lamps) (command)
";

#[test]
fn everything_is_shown_in_its_place() {
    assert_eq!(manual(&load_text(LAMPS).unwrap()), MANUAL);
}

#[test]
fn all_links_resolve() {
    let text = manual(&load_text(LAMPS).unwrap());
    for link in text.split("](#").skip(1) {
        let anchor = link.split(')').next().unwrap();
        assert!(text.contains(&format!("<a id=\"{anchor}\">")), "{anchor}");
    }
}

#[test]
fn what_is_excused_from_documentation_says_so() {
    let schema = load_text(
        "{ 'pragma': { 'documentation-exceptions': [ 'Kind' ] } }\n\
             ##\n# @Kind:\n##\n{ 'enum': 'Kind', 'data': [ 'led' ] }\n",
    );
    let text = manual(&schema.unwrap());
    assert!(text.contains("- `led`\n\n  Not documented\n"), "{text}");
}
