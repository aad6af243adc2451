//! The simulator's own little executor: tasks run one after the other in the order in which they were
//! woken, and time is a number that the world moves.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, VecDeque},
    future::Future,
    pin::{Pin, pin},
    rc::Rc,
    sync::{Arc, Mutex},
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

/// Whose task it is: all tasks of a server's life end with it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Owner {
    Client(usize),
    Server { server: usize, life: u64 },
}

type Task = (Owner, Pin<Box<dyn Future<Output = ()>>>);
type Ready = Arc<Mutex<VecDeque<u64>>>;

/// All tasks.
#[derive(Default)]
pub(crate) struct Tasks {
    tasks: BTreeMap<u64, Task>,
    ready: Ready,
    next: u64,
}

struct Flag {
    task: u64,
    ready: Ready,
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.ready.lock().expect("one thread").push_back(self.task);
    }
}

impl Tasks {
    pub(crate) fn spawn(&mut self, owner: Owner, task: impl Future<Output = ()> + 'static) {
        self.next += 1;
        self.tasks.insert(self.next, (owner, Box::pin(task)));
        self.ready.lock().expect("one thread").push_back(self.next);
    }

    /// Runs what is ready; whether anything was.
    pub(crate) fn run(&mut self) -> bool {
        let mut ran = false;
        loop {
            let next = self.ready.lock().expect("one thread").pop_front();
            let Some(id) = next else { return ran };
            let Some((owner, mut task)) = self.tasks.remove(&id) else { continue };
            ran = true;
            let waker = Waker::from(Arc::new(Flag { task: id, ready: self.ready.clone() }));
            if task.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
                self.tasks.insert(id, (owner, task));
            }
        }
    }

    pub(crate) fn end(&mut self, owner: Owner) {
        self.tasks.retain(|_, (other, _)| *other != owner);
    }

    pub(crate) fn left(&self, owner: Owner) -> bool {
        self.tasks.values().any(|(other, _)| *other == owner)
    }

    pub(crate) fn clear(&mut self) {
        self.tasks.clear();
    }
}

struct Inner<T> {
    values: VecDeque<T>,
    closed: bool,
    waker: Option<Waker>,
}

/// The sending end of a queue; the receiver ends when it is dropped.
pub(crate) struct Sender<T>(Rc<RefCell<Inner<T>>>);

/// The receiving end.
pub(crate) struct Receiver<T>(Rc<RefCell<Inner<T>>>);

pub(crate) fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let inner = Inner { values: VecDeque::new(), closed: false, waker: None };
    let inner = Rc::new(RefCell::new(inner));
    (Sender(inner.clone()), Receiver(inner))
}

impl<T> Sender<T> {
    pub(crate) fn send(&self, value: T) {
        let mut inner = self.0.borrow_mut();
        inner.values.push_back(value);
        if let Some(waker) = inner.waker.take() {
            waker.wake();
        }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut inner = self.0.borrow_mut();
        inner.closed = true;
        if let Some(waker) = inner.waker.take() {
            waker.wake();
        }
    }
}

impl<T> Receiver<T> {
    /// The next value; `None` when there will be none.
    pub(crate) async fn recv(&self) -> Option<T> {
        std::future::poll_fn(|context| {
            let mut inner = self.0.borrow_mut();
            if let Some(value) = inner.values.pop_front() {
                return Poll::Ready(Some(value));
            }
            if inner.closed {
                return Poll::Ready(None);
            }
            inner.waker = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }
}

/// Simulated time.
#[derive(Default)]
pub(crate) struct Clock {
    pub(crate) now: Cell<Duration>,
    next: Cell<u64>,
    timers: RefCell<BTreeMap<(Duration, u64), Sender<()>>>,
}

impl Clock {
    pub(crate) async fn sleep(&self, duration: Duration) {
        let (sender, receiver) = channel();
        self.next.set(self.next.get() + 1);
        let at = self.now.get() + duration;
        self.timers.borrow_mut().insert((at, self.next.get()), sender);
        let _ = receiver.recv().await;
    }

    pub(crate) fn next_timer(&self) -> Option<Duration> {
        self.timers.borrow().first_key_value().map(|((at, _), _)| *at)
    }

    /// Wakes everybody whose time has come.
    pub(crate) fn fire(&self) {
        let mut timers = self.timers.borrow_mut();
        while let Some(first) = timers.first_entry().filter(|entry| entry.key().0 <= self.now.get())
        {
            first.remove().send(());
        }
    }

    /// What comes in time.
    pub(crate) async fn within<T>(
        &self,
        duration: Duration,
        future: impl Future<Output = T>,
    ) -> Option<T> {
        match either(future, self.sleep(duration)).await {
            Either::Left(value) => Some(value),
            Either::Right(()) => None,
        }
    }
}

pub(crate) enum Either<L, R> {
    Left(L),
    Right(R),
}

/// Whichever is ready first; the left one when both are.
pub(crate) async fn either<L, R>(
    left: impl Future<Output = L>,
    right: impl Future<Output = R>,
) -> Either<L, R> {
    let (mut left, mut right) = (pin!(left), pin!(right));
    std::future::poll_fn(move |context| {
        if let Poll::Ready(value) = left.as_mut().poll(context) {
            return Poll::Ready(Either::Left(value));
        }
        right.as_mut().poll(context).map(Either::Right)
    })
    .await
}
