//! The coverage of a destination as a map for terminals: a row for each month, a mark for each day.

use backstory_sync::{Coverage, DayState};
use jiff::civil::Date;

/// Whether marks are coloured too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Paint {
    Plain,
    Colour,
}

/// The map with its legend, or nothing when there are no days. Months that stand alike throughout share a row.
pub(crate) fn draw(coverage: &Coverage, paint: Paint) -> String {
    let months = months(coverage);
    if months.is_empty() {
        return String::new();
    }
    let mut lines = vec!["         1   5    10   15   20   25   30".to_owned()];
    let mut at = 0;
    while at < months.len() {
        let alike =
            |month: &Month<'_>| month.throughout().filter(|_| months[at].throughout() == month.throughout());
        let run = months[at..].iter().take_while(|month| alike(month).is_some()).count();
        match months[at].throughout() {
            Some(state) if run > 2 => {
                let marks = marked(&mark(state).to_string().repeat(3), state, paint);
                let (first, last) = (months[at].name(), months[at + run - 1].name());
                lines.push(format!("{first}  {marks} {run} months, all {state}, to {last}"));
                at += run;
            }
            _ => {
                lines.push(months[at].line(paint));
                at += 1;
            }
        }
    }
    let legend = DayState::ALL.iter().filter(|state| coverage.count(**state) > 0).map(|state| {
        format!("{} {state} ({})", marked(&mark(*state).to_string(), *state, paint), coverage.count(*state))
    });
    lines.push(String::new());
    lines.push(legend.collect::<Vec<_>>().join("   "));
    lines.join("\n")
}

struct Month<'a> {
    first: Date,
    days: Vec<(&'a Date, &'a DayState)>,
}

fn months(coverage: &Coverage) -> Vec<Month<'_>> {
    let mut months: Vec<Month<'_>> = Vec::new();
    for day in coverage.days() {
        match months.last_mut() {
            Some(month) if month.first == day.0.first_of_month() => month.days.push(day),
            _ => months.push(Month { first: day.0.first_of_month(), days: vec![day] }),
        }
    }
    months
}

impl Month<'_> {
    fn name(&self) -> String {
        format!("{:04}-{:02}", self.first.year(), self.first.month())
    }

    /// The state of all its days, if the month is there to its last day and they stand alike.
    fn throughout(&self) -> Option<DayState> {
        let (_, first) = self.days.first()?;
        let is_whole = self.days.len() == usize::try_from(self.first.days_in_month()).ok()?;
        (is_whole && self.days.iter().all(|(_, state)| state == first)).then_some(**first)
    }

    fn line(&self, paint: Paint) -> String {
        let mut line = format!("{}  ", self.name());
        let before = self.days.first().map_or(0, |(day, _)| usize::try_from(day.day() - 1).unwrap_or(0));
        line.push_str(&" ".repeat(before));
        // Runs of equal marks are painted at once, so that the text stays short.
        let mut days = self.days.as_slice();
        while let Some((_, state)) = days.first() {
            let run = days.iter().take_while(|(_, other)| other == state).count();
            line.push_str(&marked(&mark(**state).to_string().repeat(run), **state, paint));
            days = &days[run..];
        }
        line
    }
}

/// Marks that are told apart without colours too.
fn mark(state: DayState) -> char {
    match state {
        DayState::Closed => '█',
        DayState::Provisional => '▒',
        DayState::Partial => '▚',
        DayState::Missing => '·',
        DayState::Failed => '✗',
    }
}

fn marked(marks: &str, state: DayState, paint: Paint) -> String {
    let colour = match state {
        DayState::Closed => 32,
        DayState::Provisional => 36,
        DayState::Partial => 33,
        DayState::Missing => 90,
        DayState::Failed => 31,
    };
    match paint {
        Paint::Plain => marks.to_owned(),
        Paint::Colour => format!("\u{1b}[{colour}m{marks}\u{1b}[0m"),
    }
}

#[cfg(test)]
mod tests {
    use backstory_destination::{DeliveryRecord, FragmentRecord};
    use backstory_sync::{SyncPlan, SyncSettings};
    use jiff::civil::date;

    use super::*;

    /// A destination that was filled on 18 June 2026, looked at three days later.
    fn coverage() -> Coverage {
        let (filled, now) =
            ("2026-06-18T12:00:00Z".parse().unwrap(), "2026-06-20T12:00:00Z".parse().unwrap());
        let settings = SyncSettings::new(date(2026, 1, 10));
        let plan = SyncPlan::new(&[], &[], &settings, filled).unwrap();
        let part = || vec![FragmentRecord::new(0, 0, 0, "")];
        let records: Vec<DeliveryRecord> = plan
            .jobs()
            .iter()
            .enumerate()
            .map(|(at, job)| DeliveryRecord::new(job.delivery(at.to_string(), filled, filled), part()))
            .collect();
        Coverage::of(&records, &[], &settings, now)
    }

    #[test]
    fn each_month_is_a_row_of_days_and_long_runs_of_equal_months_share_one() {
        let expected = "         1   5    10   15   20   25   30\n\
            2026-01           ██████████████████████\n\
            2026-02  ███ 4 months, all closed, to 2026-05\n\
            2026-06  █████████████████▒··\n\
            \n\
            █ closed (159)   ▒ provisional (1)   · missing (2)";
        assert_eq!(draw(&coverage(), Paint::Plain), expected);
    }

    #[test]
    fn colours_add_nothing_but_colour() {
        let mut coloured = draw(&coverage(), Paint::Colour);
        for code in ["\u{1b}[32m", "\u{1b}[36m", "\u{1b}[90m", "\u{1b}[0m"] {
            assert!(coloured.contains(code));
            coloured = coloured.replace(code, "");
        }
        assert_eq!(coloured, draw(&coverage(), Paint::Plain));
    }
}
