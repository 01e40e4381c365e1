//! The scheduler as a process of its own.

use std::io;

use super::{
    options::Options,
    run::{ServeError, run},
};

/// Runs a scheduler until SIGTERM, Ctrl-C, or, with `--exit-with-parent`, until the process
/// ends that started this one. Uses one thread.
///
/// # Errors
/// Where it cannot listen, or what ended it.
pub fn main(options: Options) -> Result<(), ServeError> {
    if options.exit_with_parent {
        let signal = Some(rustix::process::Signal::TERM);
        rustix::process::set_parent_process_death_signal(signal)
            .map_err(|error| ServeError::Setup(error.into()))?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(ServeError::Setup)?;
    let with_parent = options.exit_with_parent;
    runtime.block_on(async move {
        let shutdown = shutdown(with_parent).map_err(ServeError::Setup)?;
        run(options, shutdown).await
    })
}

fn shutdown(with_parent: bool) -> io::Result<impl Future<Output = ()> + Send> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = parent_gone(), if with_parent => {}
        }
    })
}

/// Standard input ends with the process that started this one. Reading it blocks, so a thread of
/// its own does.
async fn parent_gone() {
    let (gone, end) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let ended = io::copy(&mut io::stdin().lock(), &mut io::sink());
        tracing::info!(?ended, "the process that started this one has ended");
        gone.send(())
    });
    if end.await.is_err() {
        std::future::pending::<()>().await;
    }
}
