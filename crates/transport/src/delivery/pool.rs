//! Connections to other hosts that are kept for the next message.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::SmartHost;
use super::client::Client;
use super::terms::Station;

/// Messages sent over one connection before a fresh one is made.
const MESSAGES: u32 = 100;
/// Idle connections are looked at this often at least.
const SWEEP: Duration = Duration::from_secs(1);
/// A host whose TLS is broken gets its mail in plain text for so long.
const WITHOUT_TLS: Duration = Duration::from_secs(3600);
/// Hosts of which that is remembered.
const MOST_WITHOUT_TLS: usize = 1000;

/// Idle connections by host and terms, on the delivery loop's thread.
#[derive(Default)]
pub(crate) struct Pool {
    /// With the time at which each is closed if nobody wants it.
    idle: RefCell<HashMap<Station, Vec<(Instant, Client)>>>,
    /// A task closes those that nobody wants: one for all, however many messages pass.
    sweeping: Cell<bool>,
    without_tls: RefCell<HashMap<SmartHost, Instant>>,
}

impl Pool {
    /// A connection that is ready for a message, if there is one that the host has not closed.
    pub(crate) fn take(&self, host: &Station) -> Option<Client> {
        let mut idle = self.idle.borrow_mut();
        let clients = idle.get_mut(host)?;
        while let Some((_, mut client)) = clients.pop() {
            if client.is_alive() {
                return Some(client);
            }
        }
        idle.remove(host);
        None
    }

    /// Keeps a connection for `keep`, then closes it.
    pub(crate) fn put(self: &Rc<Pool>, host: &Station, client: Client, keep: Duration) {
        if client.messages() >= MESSAGES || client.is_spent() || keep.is_zero() {
            tokio::task::spawn_local(client.quit());
            return;
        }
        self.idle.borrow_mut().entry(host.clone()).or_default().push((Instant::now() + keep, client));
        if !self.sweeping.replace(true) {
            tokio::task::spawn_local(Rc::clone(self).sweep());
        }
    }

    /// Closes connections at their time, until none is left.
    async fn sweep(self: Rc<Pool>) {
        while let Some(next) = self.close_unwanted(Instant::now()) {
            // One that is kept for a shorter time may come meanwhile.
            sleep_until(next.min(Instant::now() + SWEEP)).await;
        }
        self.sweeping.set(false);
    }

    /// Closes the connections whose time has come; the time of the next one.
    fn close_unwanted(&self, now: Instant) -> Option<Instant> {
        let mut idle = self.idle.borrow_mut();
        for clients in idle.values_mut() {
            for (_, client) in clients.extract_if(.., |(until, _)| *until <= now) {
                tokio::task::spawn_local(client.quit());
            }
        }
        idle.retain(|_, clients| !clients.is_empty());
        idle.values().flatten().map(|(until, _)| *until).min()
    }

    /// May TLS be tried with this host?
    pub(crate) fn tls_works(&self, host: &SmartHost) -> bool {
        self.without_tls.borrow().get(host).is_none_or(|until| *until <= Instant::now())
    }

    /// A TLS handshake with this host failed.
    pub(crate) fn tls_failed(&self, host: &SmartHost) {
        let mut hosts = self.without_tls.borrow_mut();
        let now = Instant::now();
        if hosts.len() >= MOST_WITHOUT_TLS {
            hosts.retain(|_, until| *until > now);
        }
        if hosts.len() < MOST_WITHOUT_TLS {
            hosts.insert(host.clone(), now + WITHOUT_TLS);
        }
    }
}
