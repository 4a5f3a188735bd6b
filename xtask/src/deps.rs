//! The gate on edges between crates: xtask/deps.toml says which are allowed, cargo says which there are.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use toml::Table;

use crate::manifest;
use crate::run::{self, Fault, Outcome, Root};

const REMEDY: &str = "drop the dependency, or allow the edge in xtask/deps.toml if ARCHITECTURE.md says that it may be";

/// A dependency of one workspace crate on another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Edge {
    from: String,
    to: String,
    dev: bool,
}

/// What may be.
#[derive(Debug, Default)]
struct Allowed {
    edges: BTreeMap<String, Vec<String>>,
    dev: BTreeMap<String, Vec<String>>,
    cores: Vec<String>,
    banned: Vec<String>,
}

impl Allowed {
    fn read(table: &Table) -> Allowed {
        let lists = |key: &str| -> BTreeMap<String, Vec<String>> {
            let Some(section) = table.get(key).and_then(toml::Value::as_table) else { return BTreeMap::new() };
            section.keys().map(|name| (name.clone(), manifest::strings(section, name))).collect()
        };
        let cores = table.get("cores").and_then(toml::Value::as_table).cloned().unwrap_or_default();
        Allowed {
            edges: lists("edges"),
            dev: lists("dev-edges"),
            cores: manifest::strings(&cores, "crates"),
            banned: manifest::strings(&cores, "banned"),
        }
    }

    fn permits(&self, edge: &Edge) -> bool {
        let within = |lists: &BTreeMap<String, Vec<String>>| {
            lists.get(&edge.from).is_some_and(|list| list.iter().any(|name| *name == edge.to || name == "*"))
        };
        within(&self.edges) || (edge.dev && within(&self.dev))
    }
}

/// Checks the workspace's edges and its cores.
pub(crate) fn gate(root: &Root) -> Result<Outcome> {
    let allowed = Allowed::read(&manifest::table(&root.path("xtask/deps.toml"))?);
    let metadata = run::cargo(root, &["metadata", "--format-version", "1", "--no-deps"]).read()?;
    let (members, edges) = workspace(&metadata)?;
    let mut faults = check_edges(&allowed, &members, &edges);
    for core in allowed.cores.iter().filter(|core| members.contains(*core)) {
        let tree = ["tree", "-p", core, "--no-default-features", "-e", "normal", "--prefix", "none"];
        faults.extend(check_core(core, &run::cargo(root, &tree).read()?, &allowed.banned));
    }
    let fine =
        format!("{} edges between {} crates, all allowed; cores are free of runtimes", edges.len(), members.len());
    Ok(run::verdict("deps", &faults, &fine))
}

fn workspace(metadata: &str) -> Result<(BTreeSet<String>, BTreeSet<Edge>)> {
    let metadata: serde_json::Value = serde_json::from_str(metadata).context("cargo metadata is not JSON")?;
    let packages =
        metadata.get("packages").and_then(|list| list.as_array()).context("cargo metadata lists no packages")?;
    let name_of = |value: &serde_json::Value| value.get("name").and_then(|name| name.as_str()).map(str::to_owned);
    let members: BTreeSet<String> = packages.iter().filter_map(name_of).collect();
    let mut edges = BTreeSet::new();
    for package in packages {
        let from = name_of(package).unwrap_or_default();
        let dependencies = package.get("dependencies").and_then(|list| list.as_array()).into_iter().flatten();
        for dependency in dependencies {
            let to = name_of(dependency).unwrap_or_default();
            let dev = dependency.get("kind").and_then(|kind| kind.as_str()) == Some("dev");
            // A crate may name itself in its tests, to have features there.
            let is_itself = dev && to == from;
            if members.contains(&to) && !is_itself {
                edges.insert(Edge { from: from.clone(), to, dev });
            }
        }
    }
    Ok((members, edges))
}

fn check_edges(allowed: &Allowed, members: &BTreeSet<String>, edges: &BTreeSet<Edge>) -> Vec<Fault> {
    let mut faults = Vec::new();
    for edge in edges.iter().filter(|edge| !allowed.permits(edge)) {
        let kind = if edge.dev { " in its tests" } else { "" };
        faults.push(Fault::new(format!("{} must not depend on {}{kind}", edge.from, edge.to), REMEDY));
    }
    for member in members.iter().filter(|member| !allowed.edges.contains_key(*member)) {
        faults.push(Fault::new(
            format!("crate {member} is not listed"),
            "add a line for it under [edges] in xtask/deps.toml",
        ));
    }
    let named =
        allowed.edges.iter().chain(&allowed.dev).flat_map(|(from, to)| to.iter().chain([from])).chain(&allowed.cores);
    let unknown: BTreeSet<&String> = named.filter(|name| *name != "*" && !members.contains(*name)).collect();
    for name in unknown {
        faults.push(Fault::new(
            format!("xtask/deps.toml names {name}, which is no crate here"),
            "remove or rename it there",
        ));
    }
    faults
}

/// `tree` is what `cargo tree --prefix none` prints: a crate a line, the name first.
fn check_core(core: &str, tree: &str, banned: &[String]) -> Vec<Fault> {
    let names: BTreeSet<&str> = tree.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let remedy = "make that dependency optional and enable it by a feature that is not needed for the core";
    if !names.contains(core) {
        return vec![Fault::new(
            format!("the dependency tree of {core} does not begin with it"),
            "look at `cargo tree` by hand",
        )];
    }
    let found = banned.iter().filter(|name| names.contains(name.as_str()));
    found.map(|name| Fault::new(format!("{core} without default features pulls in {name}"), remedy)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const METADATA: &str = r#"{"packages":[
        {"name":"core","dependencies":[{"name":"bytes","kind":null}]},
        {"name":"top","dependencies":[{"name":"core","kind":null},{"name":"kit","kind":"dev"},{"name":"top","kind":"dev"}]},
        {"name":"kit","dependencies":[{"name":"core","kind":"build"}]}]}"#;

    fn allowed(text: &str) -> Allowed {
        Allowed::read(&text.parse().unwrap())
    }

    fn faults(text: &str) -> Vec<String> {
        let (members, edges) = workspace(METADATA).unwrap();
        check_edges(&allowed(text), &members, &edges).into_iter().map(|fault| fault.what).collect()
    }

    #[test]
    fn allowed_edges_pass() {
        assert!(faults("[edges]\ncore=[]\ntop=['core']\nkit=['core']\n[dev-edges]\ntop=['kit']").is_empty());
        assert!(faults("[edges]\ncore=[]\ntop=['*']\nkit=['*']").is_empty());
    }

    #[test]
    fn any_other_edge_is_red() {
        let found = faults("[edges]\ncore=[]\ntop=['core']\nkit=['core']");
        assert_eq!(found, ["top must not depend on kit in its tests"]);
        let found = faults("[edges]\ncore=[]\ntop=['kit']\nkit=['core']");
        assert_eq!(found, ["top must not depend on core"]);
        let found = faults("[edges]\ncore=[]\ntop=['core','kit']\nkit=[]\n[dev-edges]\nkit=['core']");
        assert_eq!(found, ["kit must not depend on core"], "a build dependency is no test dependency");
    }

    #[test]
    fn a_crate_without_a_line_is_red_and_a_line_without_a_crate_too() {
        let found = faults("[edges]\ntop=['*']\nkit=['core','gone']");
        assert_eq!(found, ["crate core is not listed", "xtask/deps.toml names gone, which is no crate here"]);
    }

    #[test]
    fn a_runtime_in_a_core_is_red() {
        let banned = ["tokio".to_owned()];
        assert!(check_core("core", "core v0.1.0 (/x)\nbytes v1.12.0\n", &banned).is_empty());
        let found = check_core("core", "core v0.1.0 (/x)\nbytes v1.12.0\ntokio v1.54.0\n", &banned);
        assert_eq!(found.len(), 1);
        assert_eq!(check_core("core", "", &banned).len(), 1, "an empty tree proves nothing");
    }

    #[test]
    fn the_data_of_this_repository_names_every_core() {
        let root = Root::find().unwrap();
        let allowed = Allowed::read(&manifest::table(&root.path("xtask/deps.toml")).unwrap());
        assert_eq!(allowed.cores, ["wirekit", "smp121", "smp-framing", "wrp", "wrp-ssp", "smrp"]);
        assert!(allowed.banned.iter().any(|name| name == "tokio"));
    }
}
