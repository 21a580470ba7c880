//! The diagram of the packages is what cargo says.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use super::assert_drawn;
use crate::common::places::root;

#[test]
fn the_packages_are_those_of_cargo() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let asked = Command::new(cargo)
        .args([
            "metadata",
            "--no-deps",
            "--offline",
            "--format-version",
            "1",
        ])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(
        asked.status.success(),
        "{}",
        String::from_utf8_lossy(&asked.stderr)
    );
    let metadata: Value = serde_json::from_slice(&asked.stdout).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    // Examples, benches and tests are not published.
    let packages: Vec<&Value> = packages.iter().filter(|p| p["publish"].is_null()).collect();
    let name = |package: &Value| package["name"].as_str().expect("a name").to_owned();
    let names: BTreeSet<String> = packages.iter().map(|package| name(package)).collect();
    let id = |name: &str| name.replace('-', "_");
    let mut drawn = String::from("flowchart BT\n");
    for name in &names {
        drawn += &format!("    {}[\"{name}\"]\n", id(name));
    }
    let mut arrows = BTreeSet::new();
    for package in &packages {
        for dependency in package["dependencies"].as_array().expect("a list") {
            let on = name(dependency);
            let arrow = match dependency["kind"].as_str() {
                None => "-->",
                Some("build") => "-.->",
                _ => continue,
            };
            if names.contains(&on) {
                arrows.insert(format!("    {} {arrow} {}\n", id(&name(package)), id(&on)));
            }
        }
    }
    drawn.extend(arrows);
    assert_drawn("the packages", &drawn);
}
