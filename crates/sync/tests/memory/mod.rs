//! A destination in memory: what it must be for a sync, and nothing else.
#![allow(dead_code, unreachable_pub)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use backstory_destination::{
    Committed, Delivered, Delivery, DeliveryRecord, Destination, Digest, Error, ErrorKind, Finding,
    FragmentRecord, HistoryEntry, Load,
};
use backstory_tables::{BadRows, Conversion, Resource, Summary};
use jiff::Timestamp;
use jiff::civil::Date;

type Key = (&'static str, String);

#[derive(Clone, Default)]
pub struct Memory {
    home: PathBuf,
    inner: Arc<Mutex<BTreeMap<Key, (DeliveryRecord, String)>>>,
    damaged: Arc<AtomicBool>,
}

impl Memory {
    /// `home` is where the ledger and the raw files go.
    pub fn new(home: &Path) -> Arc<Self> {
        Arc::new(Self { home: home.to_owned(), ..Self::default() })
    }

    /// Holds rows from now on that can't be read.
    pub fn damage(&self) {
        self.damaged.store(true, Ordering::Relaxed);
    }

    /// Loses a delivery, as a deleted file would be.
    pub fn lose(&self, job_id: &str) {
        self.inner.lock().unwrap().retain(|(_, id), _| id != job_id);
    }

    /// The records that were committed, and the lines as they were decoded, by job.
    pub fn lines(&self) -> BTreeMap<String, String> {
        let inner = self.inner.lock().unwrap();
        inner.iter().map(|((resource, id), (_, lines))| (format!("{resource} {id}"), lines.clone())).collect()
    }

    pub fn records(&self) -> Vec<DeliveryRecord> {
        self.inner.lock().unwrap().values().map(|(record, _)| record.clone()).collect()
    }
}

impl Destination for Memory {
    fn id(&self) -> &str {
        "memory"
    }

    fn name(&self) -> &str {
        "memory"
    }

    fn home(&self) -> Option<&Path> {
        Some(&self.home)
    }

    fn deliveries(&self) -> Result<Vec<DeliveryRecord>, Error> {
        Ok(self.records())
    }

    fn begin(&self, delivery: &Delivery) -> Result<Box<dyn Load>, Error> {
        let (into, delivery) = (Arc::clone(&self.inner), delivery.clone());
        Ok(Box::new(Loading { into, delivery, parts: Vec::new(), lines: Vec::new() }))
    }

    fn settle(&self, _: Timestamp) -> Result<(), Error> {
        Ok(())
    }

    fn tables(&self) -> Result<BTreeMap<String, u64>, Error> {
        Ok(BTreeMap::new())
    }

    fn digest(&self, _: Resource, _: Option<Date>) -> Result<Digest, Error> {
        if self.damaged.load(Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::Damaged, "memory holds rows that can't be read"));
        }
        Ok(Digest { count: 0, content_hash: "0".repeat(32) })
    }

    fn history(&self, _: &str) -> Result<Vec<HistoryEntry>, Error> {
        Ok(Vec::new())
    }

    fn verify(&self) -> Result<Vec<Finding>, Error> {
        Ok(Vec::new())
    }

    fn rebuilt(&self, _: &[String], _: Timestamp) -> Result<(), Error> {
        Ok(())
    }
}

struct Loading {
    into: Arc<Mutex<BTreeMap<Key, (DeliveryRecord, String)>>>,
    delivery: Delivery,
    parts: Vec<FragmentRecord>,
    lines: Vec<u8>,
}

impl Load for Loading {
    fn fragment(
        &mut self,
        fragment: u32,
        conversion: Conversion,
        delivered: &mut dyn Delivered,
        bad_rows: &mut BadRows,
    ) -> Result<Summary, Error> {
        let summary = conversion
            .copy_checked(&mut *delivered, &mut self.lines, bad_rows)
            .map_err(Error::of_conversion)?;
        let proof = delivered.proof().expect("the end was read");
        let part = FragmentRecord::new(fragment, proof.bytes, proof.lines, proof.sha256);
        self.parts.push(part.with_summary(&summary).with_raw_kept(delivered.is_kept()));
        Ok(summary)
    }

    fn commit(self: Box<Self>) -> Result<Committed, Error> {
        let key = (self.delivery.resource.as_str(), self.delivery.job_id.clone());
        let record = DeliveryRecord::new(self.delivery, self.parts);
        let lines = String::from_utf8(self.lines).unwrap();
        let before = self.into.lock().unwrap().insert(key, (record.clone(), lines));
        Ok(Committed::new(record, before.is_some()))
    }
}
