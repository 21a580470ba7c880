//! Types that contain themselves, and where to put a `Box`.
//!
//! The graph has an edge from each type to those it contains by value: members
//! (optional ones, too), branches, alternatives, but not elements of arrays. Edges
//! are removed until no cycle is left, and the removed ones become boxes. The edge
//! from an alternate to an object is removed first, because readers expect the
//! indirection there (`BlockdevRef::Definition`). Then come the edges that close a
//! cycle when the types are walked in the order of the schema.

use std::collections::HashSet;

use super::context::Context;
use crate::schema::model::{EntityId, EntityKind};

/// A containing type, and the name of the member, branch or alternative.
pub(super) type Edge = (EntityId, String);

type Graph = Vec<Vec<(EntityId, String)>>;

/// The containments that must be boxed.
pub(super) fn boxed_edges(cx: &Context) -> HashSet<Edge> {
    let mut graph: Graph = (0..cx.schema.entities.len())
        .map(|i| contained(cx, EntityId(i)))
        .collect();
    let mut boxed = HashSet::new();
    for i in 0..graph.len() {
        let id = EntityId(i);
        if matches!(cx.schema.entity(id).kind, EntityKind::Alternate(_)) {
            let cyclic = |(target, _): &(EntityId, String)| reaches(&graph, *target, id);
            let (cut, kept) = graph[i].clone().into_iter().partition(cyclic);
            graph[i] = kept;
            boxed.extend(
                cut.into_iter()
                    .map(|(_, name): (EntityId, String)| (id, name)),
            );
        }
    }
    let mut state = vec![State::New; graph.len()];
    for i in 0..graph.len() {
        walk(&graph, EntityId(i), &mut state, &mut boxed);
    }
    boxed
}

fn contained(cx: &Context, id: EntityId) -> Vec<(EntityId, String)> {
    let named = |v: &crate::schema::model::Variant| (v.typ, v.name.clone());
    match &cx.schema.entity(id).kind {
        EntityKind::Object(object) => {
            let mut edges: Vec<(EntityId, String)> = cx
                .members(id)
                .into_iter()
                .map(|m| (m.typ, m.name.clone()))
                .collect();
            edges.extend(object.variants.iter().flat_map(|v| &v.cases).map(named));
            edges
        }
        EntityKind::Alternate(variants) => variants.iter().map(named).collect(),
        _ => Vec::new(),
    }
}

fn reaches(graph: &Graph, from: EntityId, to: EntityId) -> bool {
    let mut seen = HashSet::from([from]);
    let mut todo = vec![from];
    while let Some(id) = todo.pop() {
        if id == to {
            return true;
        }
        let targets = graph[id.0].iter().map(|(target, _)| *target);
        todo.extend(targets.filter(|target| seen.insert(*target)));
    }
    false
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    New,
    Open,
    Done,
}

/// Walks depth first; an edge back to a type that is still open closes a cycle.
fn walk(graph: &Graph, id: EntityId, state: &mut [State], boxed: &mut HashSet<Edge>) {
    if state[id.0] != State::New {
        return;
    }
    state[id.0] = State::Open;
    for (target, name) in &graph[id.0] {
        match state[target.0] {
            State::Open => {
                boxed.insert((id, name.clone()));
            }
            _ => walk(graph, *target, state, boxed),
        }
    }
    state[id.0] = State::Done;
}
