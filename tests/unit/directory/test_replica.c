/* The replica over a real file, and over an engine that misbehaves on demand. */
#include "directory_test.h"

#include "base/clock.h"
#include "directory/directory_engine.h"
#include "directory/replica.h"

/* ---- over a file ---- */

static struct directory *directory, *elsewhere;
static struct directory_replica *replica;
static struct scope scope;

static void begin(void)
{
    scope = SCOPE_INIT;
    directory = open_here();
    elsewhere = open_here();
    check_ok(directory_replica_start(&replica, directory, &scope));
}

static void end(void)
{
    scope_end(&scope);
    directory_replica_free(replica);
    directory_free(directory);
    directory_free(elsewhere);
}

static uint64_t put_elsewhere(const char *id, const char *region, uint64_t expected)
{
    uint64_t version = 0;
    struct directory_entry entry = entry_of(id, region, 1);
    check_ok(directory_swap(elsewhere, &entry, expected, &version));
    return version;
}

static enum error_code lookup(const char *id, struct directory_entry *ret)
{
    return directory_lookup(replica, str_from(id), ret).error.code;
}

/* Until the replica's own fiber has seen it; a bound, not a wait for luck. */
static void until_seen(uint64_t version)
{
    for (int i = 0; i < 500 && directory_replica_health(replica).revision < version; i++)
        check_ok(fiber_sleep(10));
    assert_true(directory_replica_health(replica).revision >= version);
}

static void follow_body(void *arg)
{
    struct directory_entry got;
    elsewhere = open_here();
    uint64_t version = 0;
    enum { COUNT = 2500 }; /* more than two pages */
    for (int i = 0; i < COUNT; i++) {
        char id[16];
        snprintf(id, sizeof id, "c-%04d", i);
        version = put_elsewhere(id, "us", 0);
    }
    directory_free(elsewhere);
    begin();
    assert_true(directory_replica_health(replica).ok && directory_replica_health(replica).customers == COUNT);
    assert_true(lookup("c-0000", &got) == E_OK && str_is(got.region, "us") && str_is(got.id, "c-0000"));
    assert_true(lookup("c-2499", &got) == E_OK && got.version == version);

    version = put_elsewhere("c-2499", "eu-fr", version); /* changed by another gateway */
    until_seen(version);
    assert_true(lookup("c-2499", &got) == E_OK && str_is(got.region, "eu-fr"));
    check_ok(directory_remove(elsewhere, STR("c-2499"), version, &version));
    until_seen(version);
    assert_true(lookup("c-2499", &got) == E_CUSTOMER_UNKNOWN);

    put_elsewhere("new-here", "eu-fr", 0); /* a moment ago: the replica has not been told */
    assert_true(lookup("new-here", &got) == E_OK && str_is(got.region, "eu-fr"));
    assert_true(lookup("nobody", &got) == E_CUSTOMER_UNKNOWN);
    assert_true(lookup("..", &got) == E_ID && lookup("", &got) == E_ID);
    end();
}

static void follows_what_others_write(void **state)
{
    on_loop(follow_body, NULL);
}

static void onboarded_body(void *arg)
{
    struct directory_entry got, entry = entry_of("half-way", "eu-fr", 1);
    uint64_t version = 0;
    begin();
    entry.state = CUSTOMER_ONBOARDING;
    check_ok(directory_swap(elsewhere, &entry, 0, &version));
    until_seen(version);
    entry.state = CUSTOMER_ACTIVE;
    check_ok(directory_swap(elsewhere, &entry, version, &version));
    assert_true(lookup("half-way", &got) == E_OK &&
                got.state == CUSTOMER_ACTIVE); /* before it has been told */
    end();
}

static void sees_at_once_that_an_onboarding_has_ended(void **state)
{
    on_loop(onboarded_body, NULL);
}

static void lost_body(void *arg)
{
    struct directory_entry got;
    begin();
    uint64_t version = put_elsewhere("known", "eu-fr", 0);
    until_seen(version);
    char aside[128];
    snprintf(aside, sizeof aside, "%s.aside", path);
    must(rename(path, aside) == 0);
    assert_true(lookup("stranger", &got) == E_DIRECTORY); /* also before the replica has noticed */
    for (int i = 0; i < 500 && directory_replica_health(replica).ok; i++)
        check_ok(fiber_sleep(10));
    struct directory_health lost = directory_replica_health(replica);
    assert_true(!lost.ok && lost.error.code == E_DIRECTORY && lost.since_ms > 0 && lost.customers == 1);
    assert_true(lookup("known", &got) == E_OK && str_is(got.region, "eu-fr"));
    assert_true(lookup("stranger", &got) == E_DIRECTORY);

    must(rename(aside, path) == 0);
    for (int i = 0; i < 500 && !directory_replica_health(replica).ok; i++)
        check_ok(fiber_sleep(10));
    assert_true(directory_replica_health(replica).ok &&
                directory_replica_health(replica).since_ms >= lost.since_ms);
    assert_true(lookup("stranger", &got) == E_CUSTOMER_UNKNOWN);
    end();
}

static void p1_lost_directory_serves_the_known_and_guesses_nothing(void **state)
{
    on_loop(lost_body, NULL);
}

/* ---- over an engine of the test's ---- */

static struct fake {
    struct directory directory;
    struct directory_entry entry; /* what get answers, once released */
    size_t asked;
    bool held;                       /* get does not answer while it is */
    struct directory_changes change; /* what the next watch says */
    result watch_result;
} fake;

static result fake_get(struct directory *self, struct arena *arena, struct str id,
                       struct directory_entry *ret)
{
    fake.asked++;
    struct directory_entry read = fake.entry;
    while (fake.held)
        TRY(fiber_sleep(10));
    if (!str_eq(read.id, id))
        return FAIL(E_CUSTOMER_UNKNOWN, NULL, "none");
    *ret = read;
    return OK;
}

static result fake_list(struct directory *self, struct arena *arena, struct str after, size_t limit,
                        struct directory_page *ret)
{
    *ret = (struct directory_page){ .revision = 10 };
    return OK;
}

static result fake_watch(struct directory *self, struct arena *arena, uint64_t after_revision,
                         struct directory_changes *ret)
{
    while (fake.held && fake.change.count == 0)
        TRY(fiber_sleep(10));
    TRY(fiber_sleep(50));
    TRY(fake.watch_result);
    *ret = fake.change;
    if (ret->count == 0)
        ret->revision = after_revision;
    fake.change = (struct directory_changes){ 0 };
    return OK;
}

static const struct directory_ops fake_ops = { .get = fake_get, .list = fake_list, .watch = fake_watch };

static void begin_fake(void)
{
    loop_use_virtual_clock(1700000000000);
    fake = (struct fake){ .directory.ops = &fake_ops };
    scope = SCOPE_INIT;
    check_ok(directory_replica_start(&replica, &fake.directory, &scope));
}

static void end_fake(void)
{
    scope_end(&scope);
    directory_replica_free(replica);
}

static enum error_code answers[DIRECTORY_ASKING_MAX + 8];
static size_t answered;

static void look_up_late(void *arg)
{
    struct directory_entry got;
    enum error_code code = lookup("late", &got);
    answers[answered++] = code;
}

static void bounded_body(void *arg)
{
    begin_fake();
    fake.held = true;
    answered = 0;
    struct scope callers = SCOPE_INIT;
    for (size_t i = 0; i < DIRECTORY_ASKING_MAX + 8; i++)
        check_ok(fiber_spawn(&callers, "caller", look_up_late, NULL));
    check_ok(scope_join(&callers));
    size_t busy = 0, lost = 0;
    for (size_t i = 0; i < answered; i++) {
        busy += answers[i] == E_BUSY;
        lost += answers[i] == E_DIRECTORY;
    }
    assert_true(busy == 8 && lost == DIRECTORY_ASKING_MAX && fake.asked == DIRECTORY_ASKING_MAX);
    check_ok(fiber_sleep(SEC(5)));
    struct directory_health health = directory_replica_health(replica); /* silence is not health */
    assert_true(!health.ok && health.error.code == E_DIRECTORY);
    struct directory_entry got;
    assert_true(lookup("late", &got) == E_DIRECTORY && fake.asked == DIRECTORY_ASKING_MAX);
    fake.held = false;
    check_ok(fiber_sleep(SEC(1)));
    assert_true(directory_replica_health(replica).ok);
    end_fake();
}

static void p8_asking_is_bounded_in_number_and_time(void **state)
{
    on_loop(bounded_body, NULL);
}

static void look_up_ghost(void *arg)
{
    struct directory_entry got;
    assert_true(lookup("ghost", &got) == E_CUSTOMER_UNKNOWN);
}

/* It is read, then removed, then the removal is seen, and only then the answer to the reading arrives. */
static void overtaken_body(void *arg)
{
    begin_fake();
    fake.entry = entry_of("ghost", "eu-fr", 1);
    fake.entry.version = 11;
    fake.held = true;
    struct scope callers = SCOPE_INIT;
    check_ok(fiber_spawn(&callers, "caller", look_up_ghost, NULL));
    check_ok(fiber_sleep(100));
    assert_true(fake.asked == 1);
    struct directory_change removal = { .entry = { .id = STR("ghost"), .version = 12 }, .removed = true };
    fake.change = (struct directory_changes){ .changes = &removal, .count = 1, .revision = 12 };
    check_ok(fiber_sleep(500));
    assert_true(directory_replica_health(replica).revision == 12);
    fake.entry.id = STR("");
    fake.held = false;
    check_ok(scope_join(&callers));
    struct directory_entry got;
    assert_true(lookup("ghost", &got) == E_CUSTOMER_UNKNOWN);
    end_fake();
}

static void p1_a_late_answer_does_not_bring_back_the_removed(void **state)
{
    on_loop(overtaken_body, NULL);
}

static void state_body(void *arg)
{
    begin_fake();
    struct directory_entry got, entry = entry_of("customer", "eu-fr", 1);
    entry.version = 20;
    check_ok(directory_replica_learn(replica, &entry));
    assert_true(lookup("customer", &got) == E_OK && fake.asked == 0 && got.version == 20);
    entry.state = CUSTOMER_STATE_UNKNOWN;
    entry.version = 21;
    check_ok(directory_replica_learn(replica, &entry));
    assert_true(lookup("customer", &got) == E_DIRECTORY);

    entry.version = 22; /* a row that is no entry: the replica does not go past it and calls itself well */
    entry.region = STR("");
    struct directory_change bad = { .entry = entry };
    fake.change = (struct directory_changes){ .changes = &bad, .count = 1, .revision = 22 };
    check_ok(fiber_sleep(100));
    assert_true(!directory_replica_health(replica).ok && directory_replica_health(replica).revision == 10);
    end_fake();
}

static void p1_a_state_or_row_without_meaning_is_refused(void **state)
{
    on_loop(state_body, NULL);
}

static void no_start_body(void *arg)
{
    begin();
    must(unlink(path) == 0);
    struct directory_replica *second = NULL;
    check_fails(E_DIRECTORY, directory_replica_start(&second, elsewhere, &scope));
    assert_true(second == NULL);
    end();
}

static void does_not_start_without_a_directory(void **state)
{
    on_loop(no_start_body, NULL);
}

#define test(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)
int main(void)
{
    const struct CMUnitTest tests[] = {
        test(follows_what_others_write),
        test(sees_at_once_that_an_onboarding_has_ended),
        test(p1_lost_directory_serves_the_known_and_guesses_nothing),
        test(p8_asking_is_bounded_in_number_and_time),
        test(p1_a_late_answer_does_not_bring_back_the_removed),
        test(p1_a_state_or_row_without_meaning_is_refused),
        test(does_not_start_without_a_directory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
