//! Rows made ahead: a thread of its own reads, encodes and cuts, while the training step computes.
//!
//! The thread owns the loader and keeps a few batches ready; each comes with the position behind it, so what is saved is always
//! the position of what was *taken*, not of what was made. Results depend on the loader alone, not on who is faster. This is
//! the only file beside `par.rs` that starts a thread: it computes nothing that training adds up.

use super::rows::{Loader, Rows};
use crate::error::{Result, TrainError};
use serde_json::Value;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{Builder, JoinHandle};

/// Batches that are ready at most.
const READY: usize = 4;

/// What the thread hands over: rows, and where the loader is behind them.
type Made = Result<(Rows, Value, u64)>;

struct Worker {
    made: Receiver<Made>,
    thread: JoinHandle<Box<dyn Loader>>,
    shape: (usize, usize),
}

/// A loader that works ahead.
pub struct Ahead {
    /// Here while nobody works.
    idle: Option<Box<dyn Loader>>,
    worker: Option<Worker>,
    position: Value,
    epochs: u64,
    tokens_per_epoch: Option<usize>,
}

impl Ahead {
    /// Let `loader` work ahead from the first batch that is asked for.
    pub fn new(loader: Box<dyn Loader>) -> Ahead {
        let (position, epochs) = (loader.position(), loader.epochs_done());
        Ahead {
            tokens_per_epoch: loader.tokens_per_epoch(),
            idle: Some(loader),
            worker: None,
            position,
            epochs,
        }
    }
    /// End the work and have the loader back. It has run ahead, so it has to be sought.
    fn stop(&mut self) -> Result<&mut Box<dyn Loader>> {
        if let Some(Worker { made, thread, .. }) = self.worker.take() {
            drop(made); // the next hand-over fails, and the thread ends
            self.idle = thread.join().ok();
        }
        self.idle.as_mut().ok_or_else(broken)
    }
    fn start(&mut self, b: usize, t: usize) -> Result<&Worker> {
        if self.worker.as_ref().is_some_and(|w| w.shape != (b, t)) {
            let position = self.position.clone();
            self.stop()?.seek(&position)?;
        }
        if self.worker.is_none() {
            let mut loader = self.idle.take().ok_or_else(broken)?;
            let (hand, made) = sync_channel(READY);
            let work = move || {
                loop {
                    let next = loader.rows(b, t).map(|rows| (rows, loader.position(), loader.epochs_done()));
                    let failed = next.is_err();
                    if hand.send(next).is_err() || failed {
                        return loader;
                    }
                }
            };
            let thread = Builder::new().name("loader".into()).spawn(work);
            let thread = thread.map_err(|e| TrainError::Config(format!("no thread for the loader: {e}")))?;
            self.worker = Some(Worker { made, thread, shape: (b, t) });
        }
        self.worker.as_ref().ok_or_else(broken)
    }
}

fn broken() -> TrainError {
    TrainError::Config("the loader's thread ended by a panic; report it with the data that caused it".into())
}

impl Loader for Ahead {
    fn rows(&mut self, b: usize, t: usize) -> Result<Rows> {
        let made = self.start(b, t)?.made.recv().map_err(|_| broken())?;
        if made.is_err() {
            self.stop()?;
        }
        let (rows, position, epochs) = made?;
        (self.position, self.epochs) = (position, epochs);
        Ok(rows)
    }
    fn position(&self) -> Value {
        self.position.clone()
    }
    fn seek(&mut self, position: &Value) -> Result<()> {
        self.stop()?.seek(position)?;
        (self.position, self.epochs) = (position.clone(), self.stop()?.epochs_done());
        Ok(())
    }
    fn restart(&mut self) -> Result<()> {
        let loader = self.stop()?;
        loader.restart()?;
        let (position, epochs) = (loader.position(), loader.epochs_done());
        (self.position, self.epochs) = (position, epochs);
        Ok(())
    }
    fn epochs_done(&self) -> u64 {
        self.epochs
    }
    fn tokens_per_epoch(&self) -> Option<usize> {
        self.tokens_per_epoch
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::best_fit::BestFit;
    use crate::data::loader_tests::{byte_source, resumes_exactly};

    fn plain() -> Box<dyn Loader> {
        Box::new(BestFit::new(byte_source(31, 2), 9))
    }

    #[test]
    fn what_was_made_ahead_and_not_taken_is_made_again_after_a_resume() {
        resumes_exactly(|| Box::new(Ahead::new(plain())), 2, 11);
        let (mut ahead, mut alone) = (Ahead::new(plain()), plain());
        for (b, t) in [(1, 5), (1, 5), (3, 9), (1, 5), (2, 7)] {
            assert_eq!(ahead.rows(b, t).unwrap(), alone.rows(b, t).unwrap());
            assert_eq!(ahead.position(), alone.position());
        }
    }

    #[test]
    fn a_loader_that_fails_says_why_and_can_be_sought() {
        struct Failing(u64);
        impl Loader for Failing {
            fn rows(&mut self, b: usize, t: usize) -> Result<Rows> {
                self.0 += 1;
                if self.0 > 2 {
                    Err(TrainError::Config("gone".into()))
                } else {
                    Ok(Rows { b, t, ..Rows::default() })
                }
            }
            fn position(&self) -> Value {
                self.0.into()
            }
            fn seek(&mut self, position: &Value) -> Result<()> {
                self.0 = position.as_u64().unwrap_or(0);
                Ok(())
            }
            fn restart(&mut self) -> Result<()> {
                self.seek(&0.into())
            }
            fn epochs_done(&self) -> u64 {
                0
            }
        }
        let mut ahead = Ahead::new(Box::new(Failing(0)));
        assert!(ahead.rows(1, 1).is_ok() && ahead.rows(1, 1).is_ok());
        assert_eq!(ahead.rows(1, 1).unwrap_err().to_string(), "gone");
        ahead.restart().unwrap();
        assert!(ahead.rows(1, 1).is_ok());
    }
}
