-- Facts of the node. $1 is not needed here.
SELECT pg_is_in_recovery(), system_identifier::text, current_database()::text FROM pg_control_system()
