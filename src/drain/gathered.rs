//! Work that is handed over at one time and done together, by a task that the first one begins.
//!
//! To begin a task costs more than what many of them do. By the time it runs, everything that the same turn of the runtime
//! has handed over is here too.
//!
//! Invariants: while anything waits, there is one [`Turn`], and whoever has it is on the way to take what waits; where it is
//! dropped instead, because the process stops, so is what waits, and whoever waits for it wakes.
//!
//! Not here: beginning the task, and how much is taken.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;

/// What waits to be taken.
#[derive(Debug)]
pub struct Gathered<T>(Arc<Mutex<VecDeque<T>>>);

/// The duty to take what waits.
#[derive(Debug)]
#[must_use]
pub struct Turn<T>(Option<Arc<Mutex<VecDeque<T>>>>);

impl<T> Default for Gathered<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T> Gathered<T> {
    /// Hands something over. Who is given a turn has to begin the task.
    pub fn put(&self, item: T) -> Option<Turn<T>> {
        let Self(waiting) = self;
        let mut items = waiting.lock();
        items.push_back(item);
        (items.len() == 1).then(|| Turn(Some(waiting.clone())))
    }
}

impl<T> Turn<T> {
    /// The first that waits, and those behind it for as long as the next one `joins` what is taken already; and the turn of
    /// the rest, if there is any.
    pub fn take(mut self, mut joins: impl FnMut(&[T], &T) -> bool) -> (Vec<T>, Option<Self>) {
        let mut taken = Vec::new();
        let Some(waiting) = self.0.take() else {
            return (taken, None);
        };
        let mut items = waiting.lock();
        while let Some(next) = items.front()
            && (taken.is_empty() || joins(&taken, next))
        {
            taken.extend(items.pop_front());
        }
        let rest = !items.is_empty();
        drop(items);
        (taken, rest.then_some(Self(Some(waiting))))
    }
}

impl<T> Drop for Turn<T> {
    fn drop(&mut self) {
        if let Some(waiting) = self.0.take() {
            let items = std::mem::take(&mut *waiting.lock());
            // Without the lock: this wakes others.
            drop(items);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gathered(items: impl IntoIterator<Item = u32>) -> (Gathered<u32>, Turn<u32>) {
        let gathered = Gathered::default();
        let turns: Vec<_> = items.into_iter().map(|item| gathered.put(item)).collect();
        let mut turns = turns.into_iter();
        let turn = turns.next().flatten().expect("the first begins the task");
        assert!(turns.all(|turn| turn.is_none()), "nobody else does");
        (gathered, turn)
    }

    #[test]
    fn everything_is_taken_once_in_order_under_one_turn() {
        let (gathered, turn) = gathered(1..=5);
        let two = |taken: &[u32], _: &u32| taken.len() < 2;
        let (taken, turn) = turn.take(two);
        assert_eq!(taken, [1, 2]);
        assert!(gathered.put(6).is_none(), "the rest has a turn");
        let (taken, turn) = turn.expect("there is a rest").take(two);
        assert_eq!(taken, [3, 4]);
        let (taken, turn) = turn.expect("there is a rest").take(two);
        assert_eq!((taken, turn.is_none()), (vec![5, 6], true));
        assert!(gathered.put(7).is_some(), "a new task is needed");
    }

    #[test]
    fn what_nobody_will_take_is_dropped() {
        let (sender, receiver) = std::sync::mpsc::channel::<()>();
        let gathered = Gathered::default();
        let turn = gathered.put(sender);
        drop(turn);
        assert!(receiver.recv().is_err(), "whoever waits for it wakes");
    }
}
