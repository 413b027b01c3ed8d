//! Merging a long piece, say a megabyte of one letter, in O(n log n).
//!
//! The tokens form a doubly linked list over the positions of their first bytes; a heap holds all pairs that merge, by
//! (id of the result, position). Merging leaves entries behind that are out of date: an entry counts only if the pair
//! that now starts at its position still merges into the same token.

use super::Bpe;
use super::pairs::NONE;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// No neighbour on this side.
const END: usize = usize::MAX;

struct Node {
    id: u32,
    previous: usize,
    next: usize,
}

/// Appends the tokens of `piece` to `ids`; same result as the scan.
pub(super) fn merge(bpe: &Bpe, piece: &[u8], ids: &mut Vec<u32>) {
    let last = piece.len().saturating_sub(1);
    let mut nodes: Vec<Node> = piece
        .iter()
        .enumerate()
        .map(|(at, &byte)| Node {
            id: bpe.bytes[usize::from(byte)],
            previous: if at == 0 { END } else { at - 1 },
            next: if at == last { END } else { at + 1 },
        })
        .collect();
    let entries: Vec<_> = (0..nodes.len()).filter_map(|at| entry(bpe, &nodes, at)).collect();
    let mut heap = BinaryHeap::from(entries);
    while let Some(best) = heap.pop() {
        let Reverse((id, at)) = best;
        if entry(bpe, &nodes, at) != Some(best) {
            continue;
        }
        let absorbed = nodes[at].next;
        let next = nodes[absorbed].next;
        nodes[absorbed].next = END; // so that its own entries are out of date too
        nodes[at].id = id;
        nodes[at].next = next;
        if next != END {
            nodes[next].previous = at;
        }
        heap.extend(entry(bpe, &nodes, at));
        if nodes[at].previous != END {
            heap.extend(entry(bpe, &nodes, nodes[at].previous));
        }
    }
    let mut at = if nodes.is_empty() { END } else { 0 };
    while at != END {
        ids.push(nodes[at].id);
        at = nodes[at].next;
    }
}

/// The heap entry of the pair that starts at `at`, if it merges.
fn entry(bpe: &Bpe, nodes: &[Node], at: usize) -> Option<Reverse<(u32, usize)>> {
    let node = &nodes[at];
    if node.next == END {
        return None;
    }
    let merged = bpe.pairs.merged(node.id, nodes[node.next].id);
    (merged != NONE).then_some(Reverse((merged, at)))
}
