<?php
// docs:php-preset:begin
// The headers Remote-User, Remote-Email and Remote-Groups, as PHP calls them.
$user = isset($_SERVER['HTTP_REMOTE_USER']) ? rawurldecode($_SERVER['HTTP_REMOTE_USER']) : null;
$email = rawurldecode($_SERVER['HTTP_REMOTE_EMAIL'] ?? '');
$groups = array_map('rawurldecode', array_filter(explode(',', $_SERVER['HTTP_REMOTE_GROUPS'] ?? '')));
// docs:php-preset:end

header('Content-Type: application/json');
$meta = array_filter($_SERVER, fn($name) => str_starts_with($name, 'HTTP_') || str_starts_with($name, 'REMOTE_USER'), ARRAY_FILTER_USE_KEY);
echo json_encode([
    'user' => $user, 'email' => $email, 'groups' => $groups,
    'path' => parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH), 'meta' => (object) $meta,
], JSON_INVALID_UTF8_SUBSTITUTE);
