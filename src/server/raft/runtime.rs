//! openraft's runtime, once for tokio and madsim.
//!
//! Everything that openraft does in time goes through here: tasks, sleeps, randomness, channels. Under `--cfg madsim` the name
//! `tokio` means madsim's stand-in, so the same lines run on the simulated clock. Three things can't be tokio's there: the time-out
//! (madsim's has no name and lacks `timeout_at`), the watch channel ([`super::watch`]), and blocking work, which runs inline since
//! a simulation has no other thread.

use std::{
    convert::Infallible,
    fmt,
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use openraft_rt::{
    AsyncRuntime, Mpsc, MpscReceiver, MpscSender, MpscWeakSender, Mutex, Oneshot, OneshotSender, TryRecvError,
};

use super::watch;

/// openraft on tokio, or on madsim.
pub struct Runtime {
    #[cfg(not(madsim))]
    tokio: tokio::runtime::Runtime,
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Runtime")
    }
}

/// A time-out that isn't met.
#[derive(Debug, thiserror::Error)]
#[error("timed out")]
pub struct Elapsed;

/// A future with an end. The future is polled before the clock is looked at.
pub struct Timeout<F> {
    future: Pin<Box<F>>,
    sleep: Pin<Box<tokio::time::Sleep>>,
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Poll::Ready(value) = self.future.as_mut().poll(cx) {
            return Poll::Ready(Ok(value));
        }
        self.sleep.as_mut().poll(cx).map(|()| Err(Elapsed))
    }
}

impl AsyncRuntime for Runtime {
    type JoinError = tokio::task::JoinError;
    type JoinHandle<T: Send + 'static> = tokio::task::JoinHandle<T>;
    type Sleep = tokio::time::Sleep;
    type Instant = Instant;
    type TimeoutError = Elapsed;
    type Timeout<R, T: Future<Output = R> + Send> = Timeout<T>;
    type ThreadLocalRng = Random;
    type Mpsc = Channels;
    type Watch = watch::Watching;
    type Oneshot = Channels;
    type Mutex<T: Send + 'static> = Locked<T>;

    fn spawn<T>(future: T) -> Self::JoinHandle<T::Output>
    where
        T: Future + Send + 'static,
        T::Output: Send + 'static,
    {
        tokio::task::spawn(future)
    }

    fn sleep(duration: Duration) -> Self::Sleep {
        tokio::time::sleep(duration)
    }

    #[cfg_attr(madsim, allow(clippy::useless_conversion, reason = "there tokio's instant is std's"))]
    fn sleep_until(deadline: Instant) -> Self::Sleep {
        tokio::time::sleep_until(deadline.into())
    }

    fn timeout<R, F: Future<Output = R> + Send>(duration: Duration, future: F) -> Timeout<F> {
        Timeout { future: Box::pin(future), sleep: Box::pin(Self::sleep(duration)) }
    }

    fn timeout_at<R, F: Future<Output = R> + Send>(deadline: Instant, future: F) -> Timeout<F> {
        Timeout { future: Box::pin(future), sleep: Box::pin(Self::sleep_until(deadline)) }
    }

    fn is_panic(error: &Self::JoinError) -> bool {
        error.is_panic()
    }

    fn thread_rng() -> Random {
        Random
    }

    #[cfg(not(madsim))]
    #[allow(clippy::expect_used, reason = "without threads there is no program; only tests make a runtime here")]
    fn new(threads: usize) -> Self {
        let tokio = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .enable_all()
            .build()
            .expect("the system refuses threads");
        Self { tokio }
    }

    #[cfg(madsim)]
    fn new(_threads: usize) -> Self {
        Self {}
    }

    #[cfg(not(madsim))]
    fn block_on<F: Future<Output = T>, T>(&mut self, future: F) -> T {
        self.tokio.block_on(future)
    }

    /// In a simulation everything runs inside of madsim's runtime already; this is for futures that wait for nothing.
    #[cfg(madsim)]
    fn block_on<F: Future<Output = T>, T>(&mut self, future: F) -> T {
        futures::executor::block_on(future)
    }

    fn spawn_blocking<F, T>(f: F) -> impl Future<Output = Result<T, io::Error>> + Send
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        blocking(f)
    }
}

/// Runs work that blocks beside the others' tasks; inline in a simulation.
///
/// # Errors
/// If the work panicked.
#[cfg(not(madsim))]
pub async fn blocking<F, T>(work: F) -> io::Result<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)
}

/// Runs work that blocks beside the others' tasks; inline in a simulation.
///
/// # Errors
/// None here.
#[cfg(madsim)]
#[allow(clippy::unused_async, reason = "the same signature as the real one")]
pub async fn blocking<F, T>(work: F) -> io::Result<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    Ok(work())
}

/// Random numbers: of the thread's generator, or of the simulation's seed.
#[derive(Clone, Copy, Debug)]
pub struct Random;

impl rand::TryRng for Random {
    type Error = Infallible;

    #[cfg(not(madsim))]
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        rand::rng().try_next_u64()
    }

    #[cfg(madsim)]
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(madsim::rand::random())
    }

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        // The upper half: as random as the lower one.
        self.try_next_u64().map(|n| (n >> 32) as u32)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for chunk in bytes.chunks_mut(8) {
            let random = self.try_next_u64()?.to_le_bytes();
            for (byte, value) in chunk.iter_mut().zip(random) {
                *byte = value;
            }
        }
        Ok(())
    }
}

/// tokio's channels, under openraft's traits.
#[derive(Debug)]
pub struct Channels;

/// Sends to a bounded channel.
pub struct Sender<T>(tokio::sync::mpsc::Sender<T>);

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// A sender that doesn't keep its channel open.
pub struct WeakSender<T>(tokio::sync::mpsc::WeakSender<T>);

impl<T> Clone for WeakSender<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// Receives from a bounded channel.
pub struct Receiver<T>(tokio::sync::mpsc::Receiver<T>);

impl Mpsc for Channels {
    type Sender<T: Send> = Sender<T>;
    type Receiver<T: Send> = Receiver<T>;
    type WeakSender<T: Send> = WeakSender<T>;

    fn channel<T: Send>(buffer: usize) -> (Sender<T>, Receiver<T>) {
        let (sender, receiver) = tokio::sync::mpsc::channel(buffer);
        (Sender(sender), Receiver(receiver))
    }
}

impl<T: Send> MpscSender<Channels, T> for Sender<T> {
    async fn send(&self, message: T) -> Result<(), openraft_rt::SendError<T>> {
        self.0.send(message).await.map_err(|refused| openraft_rt::SendError(refused.0))
    }

    fn downgrade(&self) -> WeakSender<T> {
        WeakSender(self.0.downgrade())
    }
}

impl<T: Send> MpscReceiver<T> for Receiver<T> {
    async fn recv(&mut self) -> Option<T> {
        self.0.recv().await
    }

    fn try_recv(&mut self) -> Result<T, TryRecvError> {
        self.0.try_recv().map_err(|error| match error {
            tokio::sync::mpsc::error::TryRecvError::Empty => TryRecvError::Empty,
            tokio::sync::mpsc::error::TryRecvError::Disconnected => TryRecvError::Disconnected,
        })
    }
}

impl<T: Send> MpscWeakSender<Channels, T> for WeakSender<T> {
    fn upgrade(&self) -> Option<Sender<T>> {
        self.0.upgrade().map(Sender)
    }
}

/// Sends one value.
pub struct Once<T>(tokio::sync::oneshot::Sender<T>);

impl Oneshot for Channels {
    type Sender<T: Send> = Once<T>;
    type Receiver<T: Send> = tokio::sync::oneshot::Receiver<T>;
    type ReceiverError = tokio::sync::oneshot::error::RecvError;

    fn channel<T: Send>() -> (Once<T>, Self::Receiver<T>) {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        (Once(sender), receiver)
    }
}

impl<T: Send> OneshotSender<T> for Once<T> {
    fn send(self, value: T) -> Result<(), T> {
        self.0.send(value)
    }
}

/// tokio's mutex, under openraft's trait.
pub struct Locked<T>(tokio::sync::Mutex<T>);

impl<T: Send + 'static> Mutex<T> for Locked<T> {
    type Guard<'a> = tokio::sync::MutexGuard<'a, T>;

    fn new(value: T) -> Self {
        Self(tokio::sync::Mutex::new(value))
    }

    async fn lock(&self) -> Self::Guard<'_> {
        self.0.lock().await
    }
}

#[cfg(all(test, not(madsim)))]
mod tests {
    use super::Runtime;

    #[test]
    fn conforms() {
        openraft_rt::testing::Suite::<Runtime>::test_all();
    }
}
