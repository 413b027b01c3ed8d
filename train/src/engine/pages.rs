//! The books of the page pool: who uses which page of the cache, and which text the idle ones still hold.
//!
//! A page holds the keys and values of up to `page_len` tokens, and those depend on all tokens before them. So a filled
//! page is remembered under the page before it and its own tokens: the remembered pages form a tree whose paths from
//! the root spell texts that were read once. A new prompt walks down this tree as far as it agrees and uses the pages
//! it passes (Zheng et al. 2023, SGLang's radix attention, arXiv:2312.07104). Of the last, which it may agree with in
//! part, it gets a copy.
//!
//! Three states: *used* by one row or more; *idle*, remembered but used by nobody; *free*. New pages are taken from the
//! free ones, then from the idle ones that nothing hangs on, the longest unused first. Whoever uses a remembered page
//! uses its ancestors, too; so every idle page can be had, one after the other.

use kernels::planted;

/// A page's place in the tree.
#[derive(Debug)]
struct Node {
    parent: Option<u32>,
    children: Vec<u32>,
    tokens: Vec<u32>,
    /// When it was used last, in calls.
    used: u64,
}

#[derive(Debug, Default)]
struct Page {
    /// Rows that use it.
    users: usize,
    /// Where it is remembered.
    node: Option<Node>,
}

/// What of a prompt is there already.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Whole pages, in order; they are used from now on.
    pub pages: Vec<u32>,
    /// A page of which the first so many tokens agree, to be copied.
    pub partly: Option<(u32, usize)>,
}

/// All pages.
#[derive(Debug)]
pub struct Pool {
    pages: Vec<Page>,
    free: Vec<u32>,
    /// First pages of remembered texts.
    roots: Vec<u32>,
    page_len: usize,
    clock: u64,
}

impl Pool {
    /// `count` free pages.
    pub fn new(count: usize, page_len: usize) -> Pool {
        let pages = (0..count).map(|_| Page::default()).collect();
        Pool { pages, free: (0..count as u32).rev().collect(), roots: Vec::new(), page_len, clock: 0 }
    }
    /// Pages there are.
    pub fn count(&self) -> usize {
        self.pages.len()
    }
    /// Pages that somebody uses.
    pub fn used(&self) -> usize {
        self.pages.iter().filter(|page| page.users > 0).count()
    }
    /// Pages that can be taken: free and idle ones.
    pub fn available(&self) -> usize {
        self.count() - self.used()
    }
    /// One more row uses these pages.
    pub fn share(&mut self, pages: &[u32]) {
        pages.iter().for_each(|&page| self.pages[page as usize].users += 1);
    }
    /// `n` pages for one row, or none at all if there are not so many.
    pub fn take(&mut self, n: usize) -> Option<Vec<u32>> {
        if n > self.available() {
            return None;
        }
        let mut taken = Vec::with_capacity(n);
        while taken.len() < n {
            let page = self.free.pop().or_else(|| self.forget_one())?;
            self.pages[page as usize].users = 1;
            taken.push(page);
        }
        Some(taken)
    }
    /// A row gives its pages back. What is remembered stays so, as long as nobody needs the room.
    pub fn give_back(&mut self, pages: &[u32]) {
        for &page in pages {
            let state = &mut self.pages[page as usize];
            state.users = state.users.saturating_sub(1);
            let unknown = planted!("pages.remembered_yet_free", state.node.is_none() => true);
            if state.users == 0 && unknown {
                self.free.push(page);
            }
        }
    }
    /// The remembered pages that `tokens` begins with. The whole ones are used by the caller from now on.
    pub fn find(&mut self, tokens: &[u32]) -> Found {
        self.clock += 1;
        let (mut found, mut parent, mut rest) = (Found::default(), None, tokens);
        while let Some((page, agree)) = self.child(parent, rest) {
            if let Some(node) = &mut self.pages[page as usize].node {
                node.used = self.clock;
            }
            if agree < self.page_len {
                found.partly = Some((page, agree));
                break;
            }
            found.pages.push(page);
            (parent, rest) = (Some(page), &rest[agree..]);
        }
        self.share(planted!("pages.found_but_not_held", &found.pages => &[]));
        found
    }
    /// The child that agrees with `tokens` for longest, and how long; never for nothing.
    fn child(&self, parent: Option<u32>, tokens: &[u32]) -> Option<(u32, usize)> {
        let agree = |page: u32| {
            let held = self.pages[page as usize].node.as_ref().map_or(&[][..], |node| &node.tokens);
            let agree = held.iter().zip(tokens).take_while(|(a, b)| a == b).count();
            planted!("pages.agrees_one_too_far", agree => (agree + usize::from(agree > 0)).min(held.len()))
        };
        let best = self.children(parent).iter().map(|&page| (page, agree(page)));
        best.max_by_key(|&(_, agree)| agree).filter(|&(_, agree)| agree > 0)
    }
    fn children(&self, parent: Option<u32>) -> &[u32] {
        match parent {
            None => &self.roots,
            Some(page) => self.pages[page as usize].node.as_ref().map_or(&[], |node| &node.children),
        }
    }
    fn children_mut(&mut self, parent: Option<u32>) -> Option<&mut Vec<u32>> {
        match parent {
            None => Some(&mut self.roots),
            Some(page) => self.pages[page as usize].node.as_mut().map(|node| &mut node.children),
        }
    }
    /// Remember that a row's `pages` hold `tokens`, the last one perhaps in part. Where a page of another row holds the
    /// same, the row changes over to that one and its own is given back.
    pub fn remember(&mut self, pages: &mut [u32], tokens: &[u32]) {
        self.clock += 1;
        let mut parent = None;
        for (page, held) in pages.iter_mut().zip(tokens.chunks(self.page_len)) {
            let whole = held.len() == self.page_len;
            if self.pages[*page as usize].node.is_none() {
                match self.child(parent, held) {
                    Some((twin, agree)) if agree == held.len() && whole => {
                        self.share(&[twin]);
                        self.give_back(&[*page]);
                        *page = twin;
                    }
                    Some((_, agree)) if agree == held.len() => return, // a longer text is remembered already
                    shorter => {
                        self.plant(*page, parent, held);
                        if let Some((page, agree)) = shorter {
                            self.drop_beginning(page, agree);
                        }
                    }
                }
            }
            if let Some(node) = &mut self.pages[*page as usize].node {
                node.used = self.clock;
            }
            parent = Some(*page);
        }
    }
    fn plant(&mut self, page: u32, parent: Option<u32>, tokens: &[u32]) {
        let node = Node { parent, children: Vec::new(), tokens: tokens.to_vec(), used: self.clock };
        self.pages[page as usize].node = Some(node);
        if let Some(children) = self.children_mut(parent) {
            children.push(page);
        }
    }
    /// An idle page whose tokens are all the beginning of another page's need not be remembered.
    fn drop_beginning(&mut self, page: u32, agree: usize) {
        let state = &self.pages[page as usize];
        let beginning =
            state.node.as_ref().is_some_and(|node| node.tokens.len() == agree && node.children.is_empty());
        if beginning && state.users == 0 {
            self.forget(page);
            self.free.push(page);
        }
    }
    /// The idle page that nothing hangs on and that was unused for longest, forgotten.
    fn forget_one(&mut self) -> Option<u32> {
        let idle = self.pages.iter().zip(0u32..);
        let idle = idle.filter(|(page, _)| planted!("pages.takes_from_whoever_has", page.users == 0 => true));
        let leaves = idle.filter_map(|(page, number)| {
            let node = page.node.as_ref().filter(|node| planted!("pages.trunk_forgotten_before_its_branches", node.children.is_empty() => true))?;
            Some((node.used, number))
        });
        let (_, page) = planted!("pages.newest_forgotten_first", leaves.min() => leaves.max())?;
        self.forget(page);
        Some(page)
    }
    fn forget(&mut self, page: u32) {
        let Some(node) = self.pages[page as usize].node.take() else { return };
        if let Some(children) = self.children_mut(node.parent) {
            children.retain(|&child| child != page);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernels::philox::Philox;

    /// Reads a text as the engine would: pages found, pages taken, remembered.
    fn read(pool: &mut Pool, tokens: &[u32]) -> (Vec<u32>, usize) {
        let found = pool.find(&tokens[..tokens.len() - 1]);
        let reused = found.pages.len() * pool.page_len + found.partly.map_or(0, |(_, agree)| agree);
        let need = tokens.len().div_ceil(pool.page_len) - found.pages.len();
        let mut pages = found.pages;
        pages.extend(pool.take(need).unwrap());
        pool.remember(&mut pages, tokens);
        (pages, reused)
    }

    #[test]
    fn a_text_that_continues_another_reuses_all_of_it() {
        let mut pool = Pool::new(10, 4);
        let first: Vec<u32> = (0..10).collect();
        let (pages, reused) = read(&mut pool, &first);
        assert_eq!((pages.len(), reused), (3, 0));
        pool.give_back(&pages);
        assert_eq!((pool.used(), pool.available()), (0, 10));
        let second: Vec<u32> = (0..14).collect();
        let (again, reused) = read(&mut pool, &second);
        assert_eq!((reused, &again[..2]), (10, &pages[..2]), "two whole pages and half of the third");
        assert_eq!(pool.find(&[0, 1, 9]).partly, Some((pages[0], 2)));
        assert_eq!(pool.find(&[7]), Found::default());
    }

    #[test]
    fn rows_with_the_same_text_share_pages_even_if_both_read_it() {
        let mut pool = Pool::new(6, 2);
        let (mut a, mut b) = (pool.take(2).unwrap(), pool.take(2).unwrap());
        pool.remember(&mut a, &[1, 2, 3, 4]);
        pool.remember(&mut b, &[1, 2, 3, 5]);
        assert_eq!(a[0], b[0]);
        assert_ne!(a[1], b[1]);
        assert_eq!(pool.used(), 3);
        pool.give_back(&a);
        assert_eq!(pool.used(), 2, "the shared page is in use still");
        pool.give_back(&b);
        assert_eq!(pool.used(), 0);
    }

    #[test]
    fn what_was_unused_for_longest_is_forgotten_first_leaves_before_their_parents() {
        let mut pool = Pool::new(4, 2);
        let (old, _) = read(&mut pool, &[1, 2, 3, 4]);
        pool.give_back(&old);
        let (new, _) = read(&mut pool, &[5, 6, 7, 8]);
        pool.give_back(&new);
        assert_eq!(pool.take(1).unwrap(), [old[1]]);
        assert_eq!(pool.take(1).unwrap(), [old[0]]);
        assert_eq!(pool.find(&[5, 6, 7, 8]).pages, new);
        assert_eq!(pool.take(1), None, "used pages are never taken");
    }

    #[test]
    fn a_longer_text_takes_the_place_of_its_beginning() {
        let mut pool = Pool::new(3, 4);
        let (short, _) = read(&mut pool, &[1, 2]);
        pool.give_back(&short);
        let (long, reused) = read(&mut pool, &[1, 2, 3]);
        assert_eq!((reused, pool.roots.as_slice()), (2, long.as_slice()));
        let (again, _) = read(&mut pool, &[1, 2]);
        pool.give_back(&again);
        assert_eq!(pool.roots, long, "and is not replaced by it");
    }

    #[test]
    fn no_page_is_lost_or_given_twice_whatever_happens() {
        let (mut rng, mut pool) = (Philox::new(5, 1), Pool::new(24, 4));
        let mut rows: Vec<Vec<u32>> = Vec::new();
        for _ in 0..20_000 {
            let n = 1 + rng.below(17) as usize;
            let tokens: Vec<u32> = (0..n).map(|_| rng.below(2)).collect();
            let need = n.div_ceil(4);
            if rng.below(2) == 0 && pool.available() > need {
                rows.push(read(&mut pool, &tokens).0);
            } else if !rows.is_empty() {
                let row = rows.swap_remove(rng.below(rows.len() as u32) as usize);
                pool.give_back(&row);
            }
            let mut users = [0; 24];
            rows.iter().flatten().for_each(|&page| users[page as usize] += 1);
            for (page, state) in pool.pages.iter().enumerate() {
                assert_eq!(state.users, users[page]);
                let free = pool.free.iter().filter(|&&f| f as usize == page).count();
                assert_eq!(free, usize::from(state.users == 0 && state.node.is_none()));
            }
        }
        rows.iter().for_each(|row| pool.give_back(row));
        assert_eq!(pool.take(24).unwrap().len(), 24);
        assert!(pool.roots.is_empty());
    }
}
