//! The answer to an operation that the committer will make durable.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::oneshot;

use crate::QueueError;

/// Resolves when the operation is on stable storage or has failed. Dropping it does not cancel the operation.
#[derive(Debug)]
#[must_use = "the operation is not durable before this resolves"]
pub struct Pending<T>(oneshot::Receiver<Result<T, QueueError>>);

impl<T> Pending<T> {
    pub(crate) fn new() -> (oneshot::Sender<Result<T, QueueError>>, Pending<T>) {
        let (sender, receiver) = oneshot::channel();
        (sender, Pending(receiver))
    }

    /// Blocks the thread until the operation is done. Not for use inside an async task.
    pub fn wait(self) -> Result<T, QueueError> {
        self.0.blocking_recv().unwrap_or(Err(QueueError::Closed))
    }
}

impl<T> Future for Pending<T> {
    type Output = Result<T, QueueError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|answer| answer.unwrap_or(Err(QueueError::Closed)))
    }
}
