//! Deliveries in any order, repeated, interleaved with compactions and settling: the same tables.

mod deliver;

use std::collections::BTreeMap;

use backstory_destination::Destination;
use backstory_lake::Lake;
use deliver::{activity, at, data_files, delta, digest, folder, load};
use proptest::prelude::*;

/// Rows of a delivery: which activity, and the minute at which it was processed.
type Rows = Vec<(u8, i64)>;

fn text(job: usize, rows: &Rows) -> String {
    rows.iter().map(|(key, minute)| activity(&format!("u{key}"), *minute, &format!("job {job}"))).collect()
}

/// Which job's version of each key is current: the last processed, then the last delivered, then the last line.
fn truth(deliveries: &[Rows]) -> BTreeMap<u8, (i64, usize)> {
    let mut current = BTreeMap::new();
    for (job, rows) in deliveries.iter().enumerate() {
        for (key, minute) in rows {
            let version = (*minute, job);
            current
                .entry(*key)
                .and_modify(|best: &mut (i64, usize)| *best = version.max(*best))
                .or_insert(version);
        }
    }
    current
}

#[derive(Clone, Debug)]
enum Step {
    Deliver(prop::sample::Index),
    Compact,
    Settle,
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => any::<prop::sample::Index>().prop_map(Step::Deliver),
        2 => Just(Step::Compact),
        1 => Just(Step::Settle),
        1 => Just(Step::Reopen),
    ];
    prop::collection::vec(step, 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn any_order_and_any_repetition_gives_the_same_tables(
        deliveries in prop::collection::vec(prop::collection::vec((0_u8..12, 0_i64..6), 0..8), 1..6),
        steps in steps(),
        order in any::<prop::sample::Index>(),
    ) {
        let straight = folder();
        let straight = Lake::open_or_create(straight.path()).unwrap();
        for (job, rows) in deliveries.iter().enumerate() {
            let hour = i64::try_from(job).unwrap();
            load(&straight, &delta(&job.to_string(), hour), &[&text(job, rows)]).unwrap();
        }
        let truth = truth(&deliveries);
        prop_assert_eq!(digest(&straight).0, truth.len() as u64);
        for (key, (_, job)) in &truth {
            let history = straight.history(&format!("u{key}")).unwrap();
            let current = &history.last().unwrap().record["subject"];
            prop_assert_eq!(current, &format!("job {job}"));
        }

        let folder = folder();
        let mut lake = Lake::open_or_create(folder.path()).unwrap();
        let mut now = at("2026-11-16T00:00:00Z");
        let deliver = |lake: &Lake, job: usize| {
            let hour = i64::try_from(job).unwrap();
            load(lake, &delta(&job.to_string(), hour), &[&text(job, &deliveries[job])]).unwrap();
        };
        for step in &steps {
            now += jiff::SignedDuration::from_hours(9);
            match step {
                Step::Deliver(job) => deliver(&lake, job.index(deliveries.len())),
                Step::Compact => drop(lake.compact(now).unwrap()),
                Step::Settle => lake.settle(now).unwrap(),
                Step::Reopen => lake = Lake::open(folder.path()).unwrap(),
            }
        }
        let first = order.index(deliveries.len());
        (first..deliveries.len()).chain(0..first).for_each(|job| deliver(&lake, job));
        prop_assert_eq!(digest(&lake), digest(&straight));
        prop_assert_eq!(lake.tables().unwrap(), straight.tables().unwrap());
        prop_assert_eq!(lake.deliveries().unwrap().len(), deliveries.len());
        prop_assert_eq!(lake.verify().unwrap(), []);
    }

    #[test]
    fn of_a_lake_that_lost_files_what_is_left_is_right_and_what_is_missing_can_be_delivered_again(
        deliveries in prop::collection::vec(prop::collection::vec((0_u8..12, 0_i64..6), 1..8), 2..6),
        compacted in any::<bool>(),
        lost in prop::collection::vec(any::<bool>(), 8),
    ) {
        let folder = folder();
        let lake = Lake::open_or_create(folder.path()).unwrap();
        let deliver = |lake: &Lake, job: usize, id: &str| {
            let hour = i64::try_from(job).unwrap();
            load(lake, &delta(id, hour), &[&text(job, &deliveries[job])]).unwrap();
        };
        for job in 0..deliveries.len() {
            deliver(&lake, job, &job.to_string());
            if compacted && job == 1 {
                lake.compact(at("2026-11-16T00:00:00Z")).unwrap();
                lake.settle(at("2026-11-18T00:00:00Z")).unwrap();
            }
        }
        for (file, lost) in data_files(folder.path()).iter().zip(&lost) {
            if *lost {
                std::fs::remove_file(file).unwrap();
            }
        }
        let left: Vec<usize> =
            lake.deliveries().unwrap().iter().map(|record| record.delivery.job_id.parse().unwrap()).collect();
        let kept: Vec<Rows> = (0..deliveries.len())
            .map(|job| if left.contains(&job) { deliveries[job].clone() } else { Vec::new() })
            .collect();
        prop_assert_eq!(digest(&lake).0, truth(&kept).len() as u64);
        prop_assert_eq!(lake.verify().unwrap(), []);
        // What is missing comes again, by other jobs: the rows are the same, and so is what is current.
        for job in (0..deliveries.len()).filter(|job| !left.contains(job)) {
            deliver(&lake, job, &(100 + job).to_string());
        }
        prop_assert_eq!(digest(&lake).0, truth(&deliveries).len() as u64);
        lake.compact(at("2026-11-19T00:00:00Z")).unwrap();
        prop_assert_eq!(digest(&lake).0, truth(&deliveries).len() as u64);
    }
}
