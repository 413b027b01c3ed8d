//! Who gets a place, and who gives it up.
//!
//! Admission is in order of age, so a large request is not overtaken for ever. Who is admitted gets pages for what there
//! is to read, and only if a page is left over for every other row that may need one: otherwise it would soon be sent away again. A row
//! takes a page whenever its last one is full. If there is none, the youngest row of all, running or being read, gives
//! its pages back and waits. What it has said stays said: it is read again like a prompt, and goes on. Since any request
//! fits into an empty cache ([`Engine::check`]), the oldest can always go on, and so everyone's turn comes.

use super::{Engine, Reading, Sequence};
use crate::engine::forward::Forward;
use crate::engine::pages::Found;
use crate::engine::request::What;
use kernels::planted;

impl<F: Forward> Engine<F> {
    /// Rows that are taken, now or soon.
    fn rows(&self) -> usize {
        self.running.len() + self.reading.iter().map(|reading| reading.first.rows()).sum::<usize>()
    }
    /// Rows that may become longer than their pages.
    fn growing(&self) -> usize {
        let grows = |row: &&Sequence| row.grows(self.forward.page_len());
        let reading = self.reading.iter().map(|reading| &reading.first).filter(grows);
        self.running.iter().filter(grows).count() + reading.map(Sequence::rows).sum::<usize>()
    }
    /// Give the first that waits its pages, if there is room for it.
    pub(super) fn admit(&mut self) -> Result<bool, F::Error> {
        let page_len = self.forward.page_len();
        let Some(row) = self.waiting.front() else { return Ok(false) };
        let rows = row.rows();
        if self.rows() + rows > self.limits.rows {
            return Ok(false);
        }
        // All but the last token, whose logits are needed; nothing if every token's are.
        let found = match row.wants_scores() {
            true => Found::default(),
            false => self.pool.find(&row.tokens[..row.tokens.len() - 1]),
        };
        let partly: Vec<u32> = found.partly.iter().map(|&(page, _)| page).collect();
        let mine = row.tokens.len().div_ceil(page_len) - found.pages.len();
        let copies = if row.tokens.len().is_multiple_of(page_len) { 0 } else { rows - 1 };
        let spare = planted!("scheduler.spare_page_for_rows_that_need_none", self.growing() => self.rows());
        let fits = |available: usize| available >= mine + copies + spare;
        self.pool.share(planted!("scheduler.page_taken_while_copied_from", &partly => &[])); // so that it is not taken
        let copied = found.partly.filter(|_| fits(self.pool.available()));
        if copied.is_none() {
            self.pool.give_back(&partly);
        }
        let taken = if fits(self.pool.available()) { self.pool.take(mine + copies) } else { None };
        if copied.is_some() {
            self.pool.give_back(&partly);
        }
        let Some(mut taken) = taken else {
            self.pool.give_back(&found.pages);
            planted!("scheduler.large_request_goes_behind_small_ones", () => self.waiting.rotate_left(1));
            return Ok(false);
        };
        let Some(mut row) = self.waiting.pop_front() else { return Ok(false) };
        let mut length = found.pages.len() * page_len;
        if let (Some((page, agree)), Some(&to)) = (copied, taken.first()) {
            planted!("scheduler.agreed_page_not_copied", self.forward.copy_page(page, to)? => ());
            length += agree;
        }
        let mut others: Vec<Option<u32>> = taken.split_off(mine).into_iter().map(Some).collect();
        others.resize(rows - 1, None);
        (row.pages, row.length) = ([found.pages, taken].concat(), length);
        if !std::mem::replace(&mut row.started, true) {
            self.stats.reused += length as u64;
            self.events.push(row.event(What::Started { reused: length }));
        }
        self.reading.push_back(Reading { first: row, others });
        Ok(true)
    }
    /// A page for every running row that has filled its last one, the oldest first.
    pub(super) fn make_room(&mut self) {
        self.running.sort_unstable_by_key(Sequence::age);
        let page_len = self.forward.page_len();
        let mut at = 0;
        while at < self.running.len() {
            if self.running[at].length < self.running[at].pages.len() * page_len {
                at += 1;
                continue;
            }
            match self.pool.take(1) {
                Some(page) => self.running[at].pages.extend(page),
                None => self.pause_the_youngest(), // perhaps this one
            }
        }
    }
    fn pause_the_youngest(&mut self) {
        let reading = self.reading.iter().enumerate().max_by_key(|(_, reading)| reading.first.age());
        let reading = reading.map(|(at, reading)| (at, reading.first.age()));
        let running = self.running.last().map(Sequence::age);
        let row = match reading.filter(|&(_, age)| Some(age) > running) {
            Some((at, _)) => self.reading.remove(at).map(|Reading { first, others }| {
                others.into_iter().flatten().for_each(|page| self.pool.give_back(&[page]));
                first
            }),
            None => self.running.pop(),
        };
        let Some(mut row) = row else { return };
        self.stats.paused += 1;
        self.pool.remember(&mut row.pages, &row.tokens[..row.length]);
        self.pool.give_back(&row.pages);
        row.pages.clear();
        row.length = 0;
        let place = self.waiting.partition_point(|other| other.age() < row.age());
        self.waiting.insert(planted!("scheduler.paused_goes_last", place => self.waiting.len()), row);
    }
}
