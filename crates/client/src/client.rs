//! Connecting to a scheduler.

use std::{ops::Deref, sync::Arc, time::Duration};

use crate::{
    address::Address,
    core::Core,
    error::ClientError,
    fetch::Holders,
    job::Job,
    session::{Shared, connection},
};

/// Whether results are read from the workers themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DirectToWorkers {
    /// Yes; through the scheduler where a worker cannot be reached.
    #[default]
    Auto,
    /// Only from the workers.
    Yes,
    /// Only through the scheduler.
    No,
}

/// How to connect.
///
/// ```no_run
/// use dasklet_client::{ConnectOptions, DirectToWorkers};
///
/// # async fn example() -> Result<(), dasklet_client::ClientError> {
/// let client = ConnectOptions::new()
///     .name("report")
///     .direct_to_workers(DirectToWorkers::No)
///     .connect("tcp://scheduler:8786")
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    name: String,
    direct: DirectToWorkers,
    connect_timeout: Duration,
    grace: Duration,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            name: "client".to_owned(),
            direct: DirectToWorkers::Auto,
            connect_timeout: Duration::from_secs(5),
            grace: Duration::from_secs(30),
        }
    }
}

impl ConnectOptions {
    /// The usual ones.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The name people see, also of the client's default job.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Whether results are read from the workers themselves.
    #[must_use]
    pub fn direct_to_workers(mut self, direct: DirectToWorkers) -> Self {
        self.direct = direct;
        self
    }

    /// Longest time for an attempt to connect (5 s).
    #[must_use]
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit;
        self
    }

    /// How long a broken connection may take to come back (30 s, as long as the scheduler keeps
    /// the session).
    #[must_use]
    pub fn reconnect_within(mut self, limit: Duration) -> Self {
        self.grace = limit;
        self
    }

    /// Connects; an empty address stands for `DASK_SCHEDULER_ADDRESS`.
    ///
    /// # Errors
    /// The address is none, nobody answers there, or the scheduler refuses.
    pub async fn connect(self, address: &str) -> Result<Client, ClientError> {
        let address: Address = match address {
            "" => Address::from_environment()?,
            text => text.parse()?,
        };
        let identity = connection::Identity {
            session: uuid::Uuid::new_v4().to_string(),
            name: self.name.clone(),
            connect_timeout: self.connect_timeout,
            grace: self.grace,
        };
        let holders = Holders::new(self.direct, self.connect_timeout);
        let shared = Arc::new(Shared::new(address, holders));
        let connected = connection::connect(&shared, &identity).await?;
        shared.holders.set_scheduler(connected.channel.clone());
        tokio::spawn(connection::run(Arc::clone(&shared), identity, connected));
        let core = Arc::new(Core::new(shared));
        Ok(Client { job: Job::new(&core, self.name, 1.0), core })
    }
}

/// A session with a scheduler. Submits to a job of its own name, as its [`Job`] does; other jobs
/// by [`Client::job`]. Clones share the session, which ends with the last clone and handle.
#[derive(Debug, Clone)]
pub struct Client {
    job: Job,
    core: Arc<Core>,
}

impl Client {
    /// Connects to `tcp://host:port`, or `host:port`; to `DASK_SCHEDULER_ADDRESS` if it is empty.
    ///
    /// # Errors
    /// The address is none, nobody answers there, or the scheduler refuses.
    pub async fn connect(address: &str) -> Result<Self, ClientError> {
        ConnectOptions::new().connect(address).await
    }

    /// A new job.
    #[must_use]
    pub fn job(&self, name: impl Into<String>) -> Job {
        Job::new(&self.core, name.into(), 1.0)
    }

    /// Where it is connected to.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.core.shared.address
    }

    /// Why the session has ended, if it has.
    #[must_use]
    pub fn ended(&self) -> Option<ClientError> {
        self.core.shared.session().end.clone()
    }

    /// Ends the session, whatever handles exist, and waits until the scheduler has been told, or
    /// for two seconds.
    pub async fn close(self) {
        self.core.shared.change(|session| session.outbox.goodbye());
        let ended = self.core.shared.ended();
        if tokio::time::timeout(Duration::from_secs(2), ended).await.is_err() {
            self.core.shared.end(ClientError::Closed);
        }
    }
}

impl Deref for Client {
    type Target = Job;

    fn deref(&self) -> &Job {
        &self.job
    }
}
