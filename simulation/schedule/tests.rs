//! Schedules as data: drawn, written, read, shrunk.

use std::collections::BTreeSet;

use super::{shrink::Shrink, *};

const SEEDS: u64 = 400;

fn drawn() -> impl Iterator<Item = Schedule> {
    Profile::all().flat_map(|profile| (1..=SEEDS).map(move |seed| Schedule::draw(seed, profile, 60)))
}

#[test]
fn what_is_written_is_read_back() {
    for schedule in drawn() {
        let text = schedule.to_string();
        assert_eq!(text.parse::<Schedule>().as_ref(), Ok(&schedule), "{text}");
    }
}

#[test]
fn a_seed_is_the_same_each_time_and_another_is_another() {
    let texts: BTreeSet<String> =
        (1..=SEEDS).map(|seed| Schedule::draw(seed, Profile::Default, 60).to_string()).collect();
    assert_eq!(texts.len() as u64, SEEDS);
    assert!((1..=SEEDS).all(|seed| texts.contains(&Schedule::draw(seed, Profile::Default, 60).to_string())));
}

#[test]
fn every_kind_of_fault_and_every_happening_is_drawn() {
    let mut kinds: BTreeSet<&str> = Fault::KINDS.iter().map(|(kind, _)| *kind).collect();
    let mut happenings: BTreeSet<_> = text::HAPPENINGS.iter().copied().collect();
    for timed in (1..=SEEDS).flat_map(|seed| Schedule::draw(seed, Profile::Default, 60).faults) {
        kinds.remove(timed.fault.kind());
        if let When::On { happening, .. } = timed.when {
            happenings.remove(&happening);
        }
    }
    assert!(kinds.is_empty(), "never drawn: {kinds:?}");
    assert!(happenings.is_empty(), "never drawn: {happenings:?}");
}

#[test]
fn faults_lie_within_the_run_and_are_in_order() {
    for schedule in drawn() {
        let ids: Vec<u32> = schedule.faults.iter().map(|timed| timed.id).collect();
        assert_eq!(ids, (1..).take(ids.len()).collect::<Vec<u32>>());
        let times = schedule.faults.iter().map(|timed| if let When::At(ms) = timed.when { ms } else { 60_000 });
        assert!(times.clone().is_sorted() && times.clone().all(|ms| ms <= 60_000), "{schedule}");
        assert!((2..=16).contains(&schedule.clients) && [3, 5].contains(&schedule.servers));
    }
}

#[test]
fn clocks_stay_within_the_allowance_unless_the_profile_says_otherwise() {
    let rates = |profile| {
        let faults = (1..=SEEDS).flat_map(move |seed| Schedule::draw(seed, profile, 60).faults);
        faults.filter_map(|timed| if let Fault::Clock { ppm, .. } = timed.fault { Some(ppm.abs()) } else { None })
    };
    assert!(rates(Profile::Default).all(|ppm| ppm <= draw::ALLOWED_PPM));
    assert!(rates(Profile::Drift).any(|ppm| ppm > 10 * draw::ALLOWED_PPM));
    assert_eq!(rates(Profile::Calm).count(), 0);
}

#[test]
fn a_calm_seed_has_no_faults_and_some_default_seeds_have_many() {
    let counts = |profile| (1..=SEEDS).map(move |seed| Schedule::draw(seed, profile, 60).faults.len());
    assert_eq!(counts(Profile::Calm).max(), Some(0));
    assert!(counts(Profile::Default).any(|count| count > 100));
    assert!(counts(Profile::Default).any(|count| count < 5));
}

#[test]
fn what_is_no_schedule_is_refused_with_its_line() {
    let wrong = [
        ("servers many", "line 1: `many` is no number"),
        ("colour red", "line 1: `colour` is no setting"),
        ("seed 1\n1 at 5 kill whom=2 kept=nothing", "line 2: no `down_ms=`"),
        ("1 at 5 kill whom=2 kept=nothing down_ms=1 up_ms=2", "line 1: kill has no `up_ms`"),
        ("1 at 5 tickle whom=2", "line 1: `tickle` is no fault"),
        ("1 on full-moon 3 after 0 add", "line 1: `full-moon` is nothing that happens"),
        ("1 on led 3 add", "line 1: `on led 3 add` is no moment"),
        ("1 at 5 pause whom=somebody ms=1", "line 1: whom: `somebody` is no server"),
        ("profile cosy", "line 1: `cosy` is no profile"),
        ("1", "line 1: `` is no moment"),
        ("seed", "line 1: `seed` has no value"),
    ];
    for (text, expected) in wrong {
        let why = text.parse::<Schedule>().expect_err(text);
        assert!(why.starts_with(expected), "{text:?}: {why}");
    }
}

#[test]
fn remarks_and_empty_lines_are_passed_over() {
    let text = "# The leader crashes.\n\nseed 7 # the first that showed it\n 4 at 10 add\n";
    let schedule: Schedule = text.parse().expect("a schedule");
    assert_eq!((schedule.seed, schedule.faults.len()), (7, 1));
}

/// Shrinks with something that fails without a world.
fn shrunk(schedule: Schedule, mut fails: impl FnMut(&Schedule) -> bool) -> (Schedule, u32) {
    assert!(fails(&schedule), "it must fail to begin with");
    Shrink::run(schedule, 10_000, &mut fails, &mut |_, _| {})
}

fn busy() -> Schedule {
    let drawn = (1..).map(|seed| Schedule::draw(seed, Profile::Five, 60));
    drawn.into_iter().find(|schedule| schedule.faults.len() > 80 && schedule.clients > 4).expect("there are such")
}

#[test]
fn shrinking_finds_the_two_faults_that_matter() {
    let schedule = busy();
    let count = schedule.faults.len();
    let culprits = [schedule.faults[7].id, schedule.faults[count - 3].id];
    let has = |schedule: &Schedule, id: u32| schedule.faults.iter().any(|timed| timed.id == id);
    let (smallest, tried) = shrunk(schedule, |schedule| culprits.iter().all(|id| has(schedule, *id)));
    let left: Vec<u32> = smallest.faults.iter().map(|timed| timed.id).collect();
    assert_eq!(left, culprits);
    assert_eq!((smallest.seconds, smallest.clients, smallest.servers), (1, 2, 3));
    assert!(tried < 300, "{tried} candidates");
}

#[test]
fn shrinking_makes_faults_shorter_as_far_as_they_still_matter() {
    let mut schedule = Schedule::quiet(1, Profile::Default);
    let pause = Fault::Pause { whom: Whom::Leader, ms: Ms(8000) };
    schedule.faults.push(Timed { id: 9, when: When::At(2000), fault: pause });
    let long_enough = |timed: &Timed| matches!(timed.fault, Fault::Pause { ms, .. } if ms.0 >= 1000);
    let (smallest, _) = shrunk(schedule, |schedule| schedule.seconds >= 17 && schedule.faults.iter().any(long_enough));
    assert_eq!(smallest.seconds, 17);
    assert_eq!(smallest.faults[0].fault, Fault::Pause { whom: Whom::Leader, ms: Ms(1000) });
}

#[test]
fn shrinking_ends_with_nothing_where_no_fault_matters() {
    let (smallest, _) = shrunk(busy(), |_| true);
    assert_eq!(smallest.faults, []);
}

#[test]
fn shrinking_gives_up_in_time() {
    let mut runs = 0;
    let mut fails = |_: &Schedule| {
        runs += 1;
        runs % 2 == 0
    };
    let (_, tried) = Shrink::run(busy(), 20, &mut fails, &mut |_, _| {});
    assert_eq!((tried, runs), (20, 20));
}
