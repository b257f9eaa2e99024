-- Gives a payload that begins like JSON's objects, arrays and strings as text: as it is, or in base64, which begins otherwise.
--
-- Of a long one base64 costs the server and the client more than all else. Others are hardly ever text, and to learn that they are
-- none takes as long as base64.
CREATE OR REPLACE FUNCTION {payload_function}(payload bytea) RETURNS text AS $$
BEGIN
    -- In any other encoding what arrives need not be what was stored.
    IF getdatabaseencoding() = 'UTF8' AND current_setting('client_encoding') = 'UTF8' THEN
        BEGIN
            RETURN convert_from(payload, 'UTF8');
        EXCEPTION WHEN character_not_in_repertoire THEN
            -- A byte is null, or begins no letter.
        END;
    END IF;
    RETURN encode(payload, 'base64');
END;
$$ LANGUAGE plpgsql STABLE;
