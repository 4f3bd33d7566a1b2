//! Sorting a graph that has cycles: the cycles are found first (Tarjan's strongly connected components) and sorted as wholes, then each within.

use super::Edge;
use std::collections::{BTreeMap, BTreeSet};

/// Every node once. Among those that nothing holds back the smallest number goes first.
pub(super) fn order(count: usize, edges: &[Edge]) -> Vec<usize> {
    let components = components(count, edges);
    let mut component_of = vec![0; count];
    for (component, nodes) in components.iter().enumerate() {
        for &node in nodes {
            component_of[node] = component;
        }
    }
    let between: BTreeSet<(usize, usize)> =
        edges.iter().map(|e| (component_of[e.before], component_of[e.after])).filter(|(before, after)| before != after).collect();
    let mut inside: BTreeMap<usize, Vec<Edge>> = BTreeMap::new();
    for edge in edges.iter().filter(|e| component_of[e.before] == component_of[e.after]) {
        inside.entry(component_of[edge.before]).or_default().push(*edge);
    }

    let mut missing = vec![0usize; components.len()];
    let mut followers: Vec<Vec<usize>> = vec![Vec::new(); components.len()];
    for &(before, after) in &between {
        missing[after] += 1;
        followers[before].push(after);
    }
    // A component is named by its smallest member, which comes first in it.
    let name = |component: usize| components[component].first().copied().unwrap_or(usize::MAX);
    let mut ready: BTreeSet<(usize, usize)> = (0..components.len()).filter(|&c| missing[c] == 0).map(|c| (name(c), c)).collect();
    let mut sorted = Vec::with_capacity(count);
    while let Some((_, component)) = ready.pop_first() {
        match inside.get(&component) {
            Some(edges) => sorted.extend(open(&components[component], edges)),
            None => sorted.extend(&components[component]),
        }
        for &follower in &followers[component] {
            missing[follower] -= 1;
            if missing[follower] == 0 {
                ready.insert((name(follower), follower));
            }
        }
    }
    sorted
}

/// Orders one strongly connected component so that the fewest requirements are broken.
fn open(nodes: &[usize], edges: &[Edge]) -> Vec<usize> {
    let mut missing: BTreeMap<usize, (usize, usize)> = nodes.iter().map(|&node| (node, (0, 0))).collect();
    let mut followers: BTreeMap<usize, Vec<Edge>> = BTreeMap::new();
    for edge in edges {
        if let Some((for_scriptlets, others)) = missing.get_mut(&edge.after) {
            if edge.for_scriptlets { *for_scriptlets += 1 } else { *others += 1 }
        }
        followers.entry(edge.before).or_default().push(*edge);
    }
    let mut sorted = Vec::with_capacity(nodes.len());
    while let Some(next) = missing.iter().min_by_key(|(node, least)| (**least, **node)).map(|(node, _)| *node) {
        missing.remove(&next);
        sorted.push(next);
        for edge in followers.get(&next).into_iter().flatten() {
            if let Some((for_scriptlets, others)) = missing.get_mut(&edge.after) {
                if edge.for_scriptlets { *for_scriptlets -= 1 } else { *others -= 1 }
            }
        }
    }
    sorted
}

/// Strongly connected components, the members of each ascending. Without recursion: chains of requirements may be long.
fn components(count: usize, edges: &[Edge]) -> Vec<Vec<usize>> {
    let mut followers: Vec<Vec<usize>> = vec![Vec::new(); count];
    for edge in edges {
        followers[edge.before].push(edge.after);
    }
    const UNSEEN: usize = usize::MAX;
    let (mut index, mut low, mut on_stack) = (vec![UNSEEN; count], vec![0; count], vec![false; count]);
    let (mut stack, mut found, mut next_index) = (Vec::new(), Vec::new(), 0);
    for start in 0..count {
        if index[start] != UNSEEN {
            continue;
        }
        // A node and how many of its followers were looked at.
        let mut calls: Vec<(usize, usize)> = vec![(start, 0)];
        while let Some((node, looked_at)) = calls.pop() {
            if looked_at == 0 {
                (index[node], low[node]) = (next_index, next_index);
                next_index += 1;
                stack.push(node);
                on_stack[node] = true;
            }
            if let Some(&follower) = followers[node].get(looked_at) {
                calls.push((node, looked_at + 1));
                if index[follower] == UNSEEN {
                    calls.push((follower, 0));
                } else if on_stack[follower] {
                    low[node] = low[node].min(index[follower]);
                }
                continue;
            }
            if let Some(&(parent, _)) = calls.last() {
                low[parent] = low[parent].min(low[node]);
            }
            if low[node] == index[node] {
                let mut members = Vec::new();
                while let Some(member) = stack.pop() {
                    on_stack[member] = false;
                    members.push(member);
                    if member == node {
                        break;
                    }
                }
                members.sort_unstable();
                found.push(members);
            }
        }
    }
    found
}
