//! Ctrl-C and SIGTERM: the first asks for a clean stop, the second ends everything at once.

use std::{
    io,
    time::{Duration, Instant},
};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use crate::exit::Exit;

/// Signals this close together are one wish: `timeout` signals the process and then its group.
const SAME_WISH: Duration = Duration::from_millis(500);

/// Tells when somebody asked to stop.
#[derive(Debug, Clone)]
pub struct Interrupt {
    asked: watch::Receiver<bool>,
}

impl Interrupt {
    /// Listens from now on.
    ///
    /// # Errors
    /// The signals cannot be listened for.
    pub fn listen() -> io::Result<Self> {
        let mut interrupts = signal(SignalKind::interrupt())?;
        let mut terminations = signal(SignalKind::terminate())?;
        let (tell, asked) = watch::channel(false);
        tokio::spawn(async move {
            let mut first: Option<Instant> = None;
            loop {
                tokio::select! {
                    _ = interrupts.recv() => {}
                    _ = terminations.recv() => {}
                }
                tell.send_replace(true);
                if first.get_or_insert_with(Instant::now).elapsed() > SAME_WISH {
                    // The children see our end, and follow.
                    std::process::exit(Exit::Interrupted as i32);
                }
            }
        });
        Ok(Self { asked })
    }

    /// Waits until somebody asks to stop.
    pub async fn asked(&self) {
        let mut asked = self.asked.clone();
        if asked.wait_for(|asked| *asked).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
