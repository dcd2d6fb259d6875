//! A stored plan is followed only in the place that it was made for.

use std::fs;

use crate::job::Job;

const USAGE: i32 = 2;

#[test]
fn a_plan_of_another_place_is_refused_before_anything_is_done() {
    let job = Job::new(|_| {});
    job.run(&["plan", "api", "--out", "plan.json"]).ended_with(0);
    let text = fs::read_to_string(job.file()).unwrap();
    let internal = format!("nlb: {}", job.ids["internal"]);
    let whole = text.lines().find(|line| line.trim_start().starts_with("whole:")).unwrap();
    let cases = [
        (
            "\"1234567890123456\"",
            "\"1234567890123457\"",
            "account is `1234567890123457` and was `1234567890123456`",
        ),
        ("region: cn-hongkong", "region: cn-shanghai", "region is `cn-shanghai` and was `cn-hongkong`"),
        ("[blue, green]", "[blue, yellow]", "fleets is `pair blue, yellow of"),
        (&internal, "nlb: sgp-another", "target group internal is `sgp-another` and was"),
        (whole, "", "target group `whole` is not in it"),
    ];
    for (from, to, what) in cases {
        assert!(text.contains(from), "{from}");
        fs::write(job.file(), text.replace(from, to)).unwrap();
        let before = job.fake.calls().len();
        let refused = job.run(&["rollout", "api", "--plan", "plan.json"]).ended_with(USAGE);
        assert!(refused.err.contains(what) && refused.err.contains("nothing was done"), "{}", refused.err);
        assert_eq!((job.fake.calls().len(), job.entries(1)), (before, 0), "{what}");
    }
    // What is not of the place may change.
    fs::write(job.file(), text.replace("revision: 2.0.0", "revision: 9.0.0")).unwrap();
    job.run(&["rollout", "api", "--plan", "plan.json"]).ended_with(0);
    job.is_left_with("green", "blue");
}
