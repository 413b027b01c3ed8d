//! The thread that owns the model. Everyone else sends it jobs and gets events back.
//!
//! A model cannot be shared between threads, and need not: one thread drives the engine round by round, and between two
//! rounds takes what has arrived. What a request produces goes into a channel of its own, which is bounded by the
//! request itself (`max_tokens`), so a slow reader holds up nobody. A [`Ticket`] that is dropped calls its request off.

use super::attention::{self, Picture, Wish};
use std::collections::HashMap;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex};
use std::time::Instant;
use tokenizer::Tokenizer;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use train::engine::gpt::GptForward;
use train::engine::scheduler::Stats;
use train::engine::{Engine, Refusal, Request, RequestId, What};

/// What happened to sample `.0` of a request.
pub type Step = (usize, What);

type Accepted = Result<RequestId, Refusal>;

enum Job {
    Submit(Request, UnboundedSender<Step>, oneshot::Sender<Accepted>),
    Cancel(RequestId),
    CancelAll,
    Attention(Wish, oneshot::Sender<Result<Picture, String>>),
}

/// The engine's counts after its latest round.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pulse {
    /// Counts and loads.
    pub stats: Stats,
    /// Seconds spent in rounds.
    pub busy: f64,
    /// Seconds spent between rounds, without waiting: taking jobs, handing out events.
    pub between: f64,
    /// Has the engine failed?
    pub failed: bool,
}

/// The way to the engine's thread. Clones lead to the same one.
#[derive(Clone)]
pub struct Worker {
    jobs: Sender<Job>,
    pulse: Arc<Mutex<Pulse>>,
    /// For texts.
    pub tokenizer: Tokenizer,
}

/// The engine is not there any more.
#[derive(Clone, Copy, Debug)]
pub struct Gone;

/// An accepted request and what comes of it.
pub struct Ticket {
    id: RequestId,
    jobs: Sender<Job>,
    /// Events in order; ends without a `Finished` for every sample only if the engine fails.
    pub events: UnboundedReceiver<Step>,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let _ = self.jobs.send(Job::Cancel(self.id)); // of a finished request, that means nothing
    }
}

impl Worker {
    /// The way to an engine, and the loop that is to be run on the thread that owns it.
    pub fn new(tokenizer: Tokenizer) -> (Worker, Loop) {
        let (jobs, inbox) = channel();
        let pulse = Arc::new(Mutex::new(Pulse::default()));
        (Worker { jobs, pulse: Arc::clone(&pulse), tokenizer }, Loop { inbox, pulse })
    }
    /// Hand a request in.
    pub async fn submit(&self, request: Request) -> Result<Result<Ticket, Refusal>, Gone> {
        let (sender, events) = unbounded_channel();
        let (reply, answer) = oneshot::channel();
        self.jobs.send(Job::Submit(request, sender, reply)).map_err(|_| Gone)?;
        let ticket = |id| Ticket { id, jobs: self.jobs.clone(), events };
        Ok(answer.await.map_err(|_| Gone)?.map(ticket))
    }
    /// What a layer looked at.
    pub async fn attention(&self, wish: Wish) -> Result<Result<Picture, String>, Gone> {
        let (reply, answer) = oneshot::channel();
        self.jobs.send(Job::Attention(wish, reply)).map_err(|_| Gone)?;
        answer.await.map_err(|_| Gone)
    }
    /// End everything that is going on.
    pub fn cancel_all(&self) {
        let _ = self.jobs.send(Job::CancelAll);
    }
    /// The latest counts.
    pub fn pulse(&self) -> Pulse {
        self.pulse.lock().map(|pulse| *pulse).unwrap_or_default()
    }
    /// A way to the counts that does not keep the engine waiting for jobs.
    pub fn watcher(&self) -> impl Fn() -> Pulse + use<> {
        let pulse = Arc::clone(&self.pulse);
        move || pulse.lock().map(|pulse| *pulse).unwrap_or_default()
    }
}

/// Where the time of the engine's thread goes, in seconds.
#[derive(Clone, Copy, Debug, Default)]
struct Times {
    busy: f64,
    between: f64,
}

/// The engine's side.
pub struct Loop {
    inbox: Receiver<Job>,
    pulse: Arc<Mutex<Pulse>>,
}

impl Loop {
    /// Serve until nobody can send jobs any more, or the model fails.
    pub fn run(self, mut engine: Engine<GptForward<'_>>) -> Result<(), model::ModelError> {
        let (mut listeners, mut times) = (Listeners::new(), Times::default());
        self.beat(&engine, times, false);
        while self.take_jobs(&mut engine, &mut listeners, &mut times) {
            let start = Instant::now();
            let events = match engine.step() {
                Ok(events) => events,
                Err(error) => {
                    self.beat(&engine, times, true);
                    return Err(error);
                }
            };
            let stepped = Instant::now();
            times.busy += (stepped - start).as_secs_f64();
            self.beat(&engine, times, false);
            for event in events {
                let Some((listener, open)) = listeners.get_mut(&event.request) else { continue };
                *open -= usize::from(matches!(event.what, What::Finished(_)));
                let (over, heard) = (*open == 0, listener.send((event.sample, event.what)).is_ok());
                if over || !heard {
                    listeners.remove(&event.request);
                }
                if !heard && !over {
                    engine.cancel(event.request);
                }
            }
            times.between += stepped.elapsed().as_secs_f64();
        }
        self.beat(&engine, times, false);
        Ok(())
    }
    /// Takes what has arrived, and waits if there is nothing else to do. False if nobody is left who could send.
    fn take_jobs(
        &self,
        engine: &mut Engine<GptForward<'_>>,
        listeners: &mut Listeners,
        times: &mut Times,
    ) -> bool {
        loop {
            let job = match engine.is_idle() {
                true => self.inbox.recv().map_err(|_| TryRecvError::Disconnected),
                false => self.inbox.try_recv(),
            };
            match job {
                Ok(job) => {
                    let start = Instant::now();
                    take(job, engine, listeners);
                    times.between += start.elapsed().as_secs_f64();
                }
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }
    fn beat(&self, engine: &Engine<GptForward<'_>>, Times { busy, between }: Times, failed: bool) {
        if let Ok(mut pulse) = self.pulse.lock() {
            *pulse = Pulse { stats: engine.stats(), busy, between, failed };
        }
    }
}

/// Who hears of a request, and how many of its samples have not ended.
type Listeners = HashMap<RequestId, (UnboundedSender<Step>, usize)>;

fn take(job: Job, engine: &mut Engine<GptForward<'_>>, listeners: &mut Listeners) {
    match job {
        Job::Submit(request, listener, reply) => {
            let samples = request.samples;
            let accepted = engine.submit(request);
            if let Ok(id) = accepted {
                listeners.insert(id, (listener, samples));
            }
            if let (Err(Ok(id)), true) = (reply.send(accepted.clone()), accepted.is_ok()) {
                engine.cancel(id); // whoever asked has gone
            }
        }
        Job::Cancel(id) => {
            if listeners.remove(&id).is_some() {
                engine.cancel(id);
            }
        }
        Job::CancelAll => {
            for id in listeners.keys() {
                engine.cancel(*id);
            }
        }
        Job::Attention(wish, reply) => {
            let _ = reply.send(attention::picture(engine.forward().gpt(), &wish));
        }
    }
}
