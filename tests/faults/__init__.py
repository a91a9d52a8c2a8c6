"""What a cluster must survive, and the tests that show it. The short forms run with the suite.

`make test-faults` runs the long forms: more kills, longer outages, and more seeds.

| fault | expected | test |
|---|---|---|
| Redis is killed under load | a typed error in time, routes never hang; then 0 lost, 0 doubled | `test_redis_processes::test_nothing_is_lost_or_doubled_when_redis_is` |
| connections of Redis are killed while publishing | repaired and counted; as many connections as before; one line each | `test_redis_processes::test_nothing_is_lost_or_doubled_when_every_connection_is_killed`, `test_redis_counts::test_a_killed_subscription_is_repaired_and_counted` |
| Redis is frozen | not ready within the time of the probe; back by itself | `test_redis_processes::test_nothing_is_lost_or_doubled_when_redis_is`, `test_redis_counts::test_a_frozen_redis_is_noticed_by_the_probe_and_comes_back` |
| Redis is flushed, or comes back empty | a new epoch; clients are told, never silently | `test_redis_processes::test_clients_are_told_when_redis_was_flushed`, `test_redis_processes::test_clients_are_told_when_redis_comes_back_without_its_data` |
| a broadcast of 33 MB | refused at the publisher; no subscriber dies | `test_redis_processes::test_a_broadcast_of_33_megabytes_is_refused_at_the_publisher` |
| a script was run, its reply is lost | delivered once, or refused as unknown | `test_redis_broker::test_a_publication_whose_reply_is_lost_is_delivered_once`, `test_redis_broker::test_a_publication_whose_reply_is_lost_is_delivered_once_or_refused`, `test_redis_broker::test_a_command_whose_reply_is_lost_is_applied_once_everywhere` |
| the reader dies of a `BaseException` | replaced and counted | `test_redis_counts::test_a_reader_that_dies_is_replaced_and_counted` |
| a process is killed | its users go offline once | `test_dead_nodes::test_users_of_a_killed_process_go_offline_once` |
| a process is frozen for longer than its lease | it takes another id; no double presence | `test_dead_nodes::test_a_frozen_process_brings_its_users_back_once` |
| processes are restarted one by one | clients are told in batches, and recover | `test_rolling_restart::test_clients_come_back_in_batches_and_nothing_is_doubled` |
| clients lose connections, upgrades and time, and processes are killed and restarted | stock clients recover, or are told that they did not | `test_recovery_clients::test_each_client_gets_every_event_once_or_is_told`, `test_recovery_clients::test_clients_recover_at_a_rolling_restart` |
| a process is cut off from Redis, also for longer than its lease | local delivery goes on; no storm when it is back | `test_redis_processes::test_a_process_that_is_cut_off_goes_on_with_local`, `test_dead_nodes::test_a_process_that_was_cut_off_for_longer_than_its_lease_comes_back_without_a_storm` |
| a token is revoked while a process is cut off | cut on all others within 1 s, and there when it is back | `test_redis_processes::test_three_nodes_cut_the_token_one_of_them_after_it_was_cut_off_from_redis` |
| everything at random | one order everywhere, nothing lost, nothing doubled | `test_redis_order::test_nodes_agree_on_one_order_and_lose_nothing`, `test_redis_order::test_nodes_agree_with_absurdly_small_limits` |
"""  # noqa: E501  rows of a table
