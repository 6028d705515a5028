//! How much accounts send, and whether they may send more.
//!
//! What is begun counts: a message at MAIL, a recipient at RCPT, whatever becomes of them. Counts are kept by pieces of
//! five minutes, and noted in a file now and then, so that a restart forgets no more than the last of them.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use acl::Guid;
use directory::{Object, ObjectId, SendingLimits, Snapshot, Time};
use session::Sent;

use crate::shared::now;

/// Milliseconds of a piece.
const PIECE: i64 = 300_000;
/// Pieces of an hour.
const HOUR: i64 = 12;
/// Pieces of a day.
const DAY: i64 = 288;

/// What accounts have sent in the last day.
#[derive(Debug, Default)]
pub struct SendingCounts {
    options: OnceLock<Options>,
    counts: Mutex<Counts>,
}

#[derive(Debug)]
struct Options {
    usual: SendingLimits,
    file: PathBuf,
}

#[derive(Debug, Default)]
struct Counts {
    accounts: HashMap<Guid, Account>,
    /// Something was counted since it was noted.
    news: bool,
}

/// Messages and recipients by piece of time.
type Account = BTreeMap<i64, [u32; 2]>;

impl SendingCounts {
    /// Sets the limits of accounts that have none of their own, and where counts are noted; reads what is noted there.
    /// The first call counts.
    ///
    /// # Errors
    /// The file is there and cannot be read. Counts begin at nothing then.
    pub fn set_up(&self, usual: SendingLimits, file: &Path) -> io::Result<()> {
        let _ = self.options.set(Options { usual, file: file.to_owned() });
        let text = match fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let wrong = || io::Error::new(io::ErrorKind::InvalidData, "it holds no counts");
        let mut counts = self.lock();
        for line in text.lines() {
            let mut words = line.split(' ');
            let account = words.next().and_then(|word| word.parse().ok()).ok_or_else(wrong)?;
            let numbers: Option<Vec<i64>> = words.map(|word| word.parse().ok()).collect();
            let Some([piece, messages, recipients]) = numbers.and_then(|all| <[i64; 3]>::try_from(all).ok()) else {
                return Err(wrong());
            };
            let [messages, recipients] = [messages, recipients].map(|count| u32::try_from(count).unwrap_or(u32::MAX));
            counts.accounts.entry(account).or_default().insert(piece, [messages, recipients]);
        }
        Ok(())
    }

    /// Counts what an account sends, if it may; else why not, in words for its reply.
    pub(crate) fn admits(&self, snapshot: &Snapshot, account: ObjectId, what: Sent, now: Time) -> Result<(), String> {
        let Some(object) = snapshot.object(account) else { return Ok(()) };
        let limits = self.limits_of(object);
        if limits.is_none() {
            return Ok(());
        }
        let mut counts = self.lock();
        let counted = counts.accounts.entry(object.guid()).or_default();
        let piece = now.0.div_euclid(PIECE);
        forget_old(counted, piece);
        let (index, hour, day, word) = match what {
            Sent::Message => (0, limits.messages_per_hour, limits.messages_per_day, "messages"),
            Sent::Recipient => (1, limits.recipients_per_hour, limits.recipients_per_day, "recipients"),
        };
        for (limit, pieces, span) in [(hour, HOUR, "an hour"), (day, DAY, "a day")] {
            let Some(limit) = limit else { continue };
            if let Some(wait) = wait(counted, index, limit, pieces, now.0) {
                return Err(format!(
                    "Sending limit reached: this account may send {limit} {word} in {span}; try again in {wait} minutes"
                ));
            }
        }
        counted.entry(piece).or_default()[index] += 1;
        counts.news = true;
        Ok(())
    }

    /// Whether an account may send a message to so many now. Nothing is counted: what is tried again and again, and each
    /// time counts, would never find room.
    pub(crate) fn room(&self, snapshot: &Snapshot, account: ObjectId, recipients: usize, now: Time) -> Room {
        let Some(object) = snapshot.object(account) else { return Room::Now };
        let limits = self.limits_of(object);
        let recipients = u32::try_from(recipients).unwrap_or(u32::MAX);
        let mut counts = self.lock();
        let mut nothing = Account::default();
        let counted = counts.accounts.get_mut(&object.guid()).unwrap_or(&mut nothing);
        forget_old(counted, now.0.div_euclid(PIECE));
        for (index, wanted, limit, pieces, words) in [
            (0, 1, limits.messages_per_hour, HOUR, "messages in an hour"),
            (0, 1, limits.messages_per_day, DAY, "messages in a day"),
            (1, recipients, limits.recipients_per_hour, HOUR, "recipients in an hour"),
            (1, recipients, limits.recipients_per_day, DAY, "recipients in a day"),
        ] {
            let Some(limit) = limit else { continue };
            if wanted > limit && limit > 0 {
                return Room::Never(format!("the account may send to {limit} {words}, and the message is to {wanted}"));
            }
            let since = now.0.div_euclid(PIECE) - pieces + 1;
            let sum: u64 = counted.range(since..).map(|(_, counts)| u64::from(counts[index])).sum();
            if sum + u64::from(wanted) > u64::from(limit) {
                return Room::Later(format!("the account has reached its limit of {limit} {words}"));
            }
        }
        Room::Now
    }

    fn limits_of(&self, object: &Object) -> SendingLimits {
        match object.sending_limits() {
            Some(Ok(limits)) => limits,
            Some(Err(wrong)) => {
                tracing::warn!(account = object.label(), wrong, "the sending limits of an account cannot be read");
                self.usual()
            }
            None => self.usual(),
        }
    }

    /// Notes the counts, if there are new ones.
    ///
    /// # Errors
    /// The file cannot be written; the next call tries again.
    pub(crate) fn note(&self) -> io::Result<()> {
        let Some(options) = self.options.get() else { return Ok(()) };
        let mut text = String::new();
        {
            let mut counts = self.lock();
            if !std::mem::take(&mut counts.news) {
                return Ok(());
            }
            // Who has sent nothing for a day is forgotten.
            let piece = now().0.div_euclid(PIECE);
            counts.accounts.retain(|_, counted| {
                forget_old(counted, piece);
                !counted.is_empty()
            });
            for (account, pieces) in &counts.accounts {
                for (piece, [messages, recipients]) in pieces {
                    text += &format!("{account} {piece} {messages} {recipients}\n");
                }
            }
        }
        let new = options.file.with_extension("new");
        let noted = fs::write(&new, text).and_then(|()| fs::rename(&new, &options.file));
        if noted.is_err() {
            self.lock().news = true;
        }
        noted
    }

    fn usual(&self) -> SendingLimits {
        self.options.get().map(|options| options.usual).unwrap_or_default()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether there is room for a message in the limits of an account.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// There is.
    Now,
    /// Not before others are forgotten: why.
    Later(String),
    /// It is to more than the account may send to at all.
    Never(String),
}

/// Leaves the pieces of the last day. Those far ahead are of a clock that was wrong.
fn forget_old(counted: &mut Account, piece: i64) {
    counted.retain(|at, _| (piece - DAY..piece + DAY).contains(at));
}

/// Minutes until one more may be sent; `None`: now.
fn wait(counted: &Account, index: usize, limit: u32, pieces: i64, now: i64) -> Option<i64> {
    let since = now.div_euclid(PIECE) - pieces + 1;
    let mut sum: u64 = counted.range(since..).map(|(_, counts)| u64::from(counts[index])).sum();
    if sum < u64::from(limit) {
        return None;
    }
    for (piece, counts) in counted.range(since..) {
        sum -= u64::from(counts[index]);
        if sum < u64::from(limit) {
            return Some(((piece + pieces) * PIECE - now).div_euclid(60_000) + 1);
        }
    }
    // A limit of 0.
    Some(pieces * PIECE / 60_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(pieces: &[(i64, u32)]) -> Account {
        pieces.iter().map(|(piece, messages)| (*piece, [*messages, 0])).collect()
    }

    #[test]
    fn there_is_room_again_when_the_oldest_piece_is_over() {
        let all = counted(&[(0, 3), (5, 2)]);
        assert_eq!(wait(&all, 0, 6, HOUR, 6 * PIECE), None);
        assert_eq!(wait(&all, 0, 5, HOUR, 6 * PIECE), Some(31));
        assert_eq!(wait(&all, 0, 2, HOUR, 6 * PIECE), Some(56));
        assert_eq!(wait(&all, 0, 3, HOUR, 12 * PIECE), None);
        assert_eq!(wait(&all, 1, 1, HOUR, 6 * PIECE), None);
        assert_eq!(wait(&Account::new(), 0, 0, HOUR, 0), Some(60));
    }

    #[test]
    fn counts_outlive_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sending");
        let (account, idle) = (Guid([7; 16]), Guid([8; 16]));
        let recent = now().0.div_euclid(PIECE) - 5;
        let counts = SendingCounts::default();
        counts.set_up(SendingLimits::default(), &file).unwrap();
        counts.note().unwrap();
        assert!(!file.exists());
        counts.lock().accounts.insert(account, counted(&[(5, 1), (recent, 9)]));
        counts.lock().accounts.insert(idle, counted(&[(5, 9)]));
        counts.lock().news = true;
        counts.note().unwrap();
        let again = SendingCounts::default();
        again.set_up(SendingLimits::default(), &file).unwrap();
        assert_eq!(again.lock().accounts, HashMap::from([(account, counted(&[(recent, 9)]))]));
    }

    #[test]
    fn a_file_that_holds_something_else_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sending");
        for text in ["x", "6ba7b810-9dad-11d1-80b4-00c04fd430c8 1 2\n"] {
            fs::write(&file, text).unwrap();
            assert!(SendingCounts::default().set_up(SendingLimits::default(), &file).is_err(), "{text}");
        }
    }
}
